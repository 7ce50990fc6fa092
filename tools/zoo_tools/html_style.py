"""The style of the page of `zoo inspect --html`."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root{--page:#f6f7f9;--card:#fff;--text:#1c2128;--dim:#667080;--line:#e1e5ea;--group:#e9edf2;--small:#b8c0ca;
--accent:#4e79a7;--warn:#fff4e0;--warn-line:#e0a43a;--gap:#fff;--on-colour:#fff}
@media(prefers-color-scheme:dark){:root{--page:#14171c;--card:#1c2128;--text:#e3e8ee;--dim:#8d98a7;--line:#303741;
--group:#262d36;--small:#47505c;--accent:#5b8fc7;--warn:#33291a;--warn-line:#b98a35;--gap:#1c2128;--on-colour:#fff}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1220px;margin:0 auto;padding:28px 16px 8px}
h1{font-size:1.6rem;line-height:1.25;margin:0;overflow-wrap:anywhere}
h2{font-size:1rem;margin:0 0 12px}
code,.name,.path,text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
code,.name{font-size:.9em;overflow-wrap:anywhere}
.path{color:var(--dim);margin:2px 0 18px;font-size:.85rem;overflow-wrap:anywhere}
.cards{display:flex;flex-wrap:wrap;gap:10px}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 18px;min-width:110px}
.card b{display:block;font-size:1.25rem;font-weight:650}
.card span,.legend span,.more,footer{color:var(--dim);font-size:.82rem}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px 18px;margin:16px 0}
.notes{margin:16px 0 0;padding:10px 18px 10px 36px;background:var(--warn);
border-left:4px solid var(--warn-line);border-radius:6px}
.chosen{margin:14px 0 0;color:var(--dim)}
.map{display:block;width:100%;height:auto}
.map rect{stroke:var(--gap);stroke-width:1}
.map g:hover>rect{stroke:var(--text);stroke-width:1.5}
.map .group{fill:var(--group)}
.small,.c10{fill:var(--small);background:var(--small)}
.map text{font-size:10.5px;pointer-events:none}
.map .heading{fill:var(--text)}
.map .label{fill:var(--on-colour)}
.map .size{fill:var(--on-colour);opacity:.8;font-size:9.5px}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;margin:12px 0 0;padding:0;font-size:.85rem}
.legend i,.name i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th{color:var(--dim);font-weight:500;font-size:.82rem;text-align:right;padding:2px 10px}
td{text-align:right;padding:4px 10px;border-top:1px solid var(--line);
font-variant-numeric:tabular-nums;vertical-align:top}
th:first-child,td:first-child{text-align:left;padding-left:0}
.pairs td,.pairs th{text-align:left;overflow-wrap:anywhere}
.bar{display:inline-block;width:100%;min-width:60px;height:8px;background:var(--group);border-radius:4px;overflow:hidden;align-self:center}
.bar b{display:block;height:100%;background:var(--accent)}
.tree{overflow-x:auto;min-width:0}
.row{display:grid;grid-template-columns:minmax(200px,1fr) 70px 150px 70px 80px 80px 90px;gap:0 12px;padding:3px 0;
border-top:1px solid var(--line);font-variant-numeric:tabular-nums;font-size:.9rem}
.row>span{text-align:right}
.row>.name,.row.head>span:first-child{text-align:left}
.head{color:var(--dim);border-top:0;font-size:.82rem}
.row em{color:var(--dim);font-style:normal}
summary.row{cursor:pointer;list-style:none}
summary.row .name::before{content:"▸ ";color:var(--dim)}
details[open]>summary.row .name::before{content:"▾ "}
summary.row:hover,div.row:not(.head):hover{background:var(--group)}
details>div.row .name,details>details>summary .name{padding-left:18px}
details details>div.row .name,details details>details>summary .name{padding-left:36px}
details details details>div.row .name,details details details>details>summary .name{padding-left:54px}
details details details details>div.row .name,details details details details>details>summary .name{padding-left:72px}
footer{max-width:1220px;margin:0 auto;padding:0 16px 28px}
"""
