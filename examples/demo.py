"""A short conversation with a real language model, through the public API. Run by `make demo`."""

from __future__ import annotations

import zoo

QUESTIONS = ("Hello! Who are you?", "What is the capital of France?")


def main() -> None:
    """Ask the questions one after the other and print the answers as they come."""
    pipe = zoo.pipeline("text-generation", "llama")
    messages = []
    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        print(f"\n> {question}")
        stream = pipe.stream(messages, max_new_tokens=64, do_sample=False)
        for piece in stream:
            print(piece, end="", flush=True)
        print(f"\n  [{len(stream.generation.token_ids)} tokens, stopped by {stream.generation.finish_reason}]")
        messages.append({"role": "assistant", "content": stream.generation.text})


if __name__ == "__main__":
    main()
