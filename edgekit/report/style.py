"""The report's style sheet: one column, readable on a phone; and the colours, light and dark."""

LIGHT = """--ink: #17202a; --dim: #5d6b7a; --line: #dfe5ec; --paper: #ffffff; --wash: #f5f7fa;
  --blue: #2563eb; --good: #15803d; --good-wash: #dcfce7; --bad: #b91c1c; --bad-wash: #fee2e2;"""
DARK = """--ink: #e6ebf1; --dim: #94a3b3; --line: #2c3744; --paper: #11181f;
  --wash: #19222c; --blue: #7aa7ff; --good: #6ee7a0; --good-wash: #12351f; --bad: #fca5a5; --bad-wash: #451a1a;"""

CSS = (
    f"""
:root {{ color-scheme: light dark; {LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {DARK} }} }}
"""
    + """* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 28px 18px 60px; }
header { border-bottom: 1px solid var(--line); padding-bottom: 18px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 6px; overflow-wrap: anywhere; }
h1 small { color: var(--dim); font-weight: 400; }
h2 { font-size: 1.12rem; margin: 36px 0 10px; }
p { margin: 6px 0; } .dim { color: var(--dim); }
.badge { display: inline-block; border-radius: 999px; padding: 1px 12px; font-weight: 600; font-size: .9rem; }
.pass { color: var(--good); background: var(--good-wash); } .fail { color: var(--bad); background: var(--bad-wash); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(138px, 1fr)); gap: 10px; margin-top: 20px; }
.card { background: var(--wash); border-radius: 10px; padding: 12px 14px; }
.card b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.card span { color: var(--dim); font-size: .84rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th { text-align: left; color: var(--dim); font-weight: 500; white-space: nowrap; }
th, td { padding: 7px 14px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.num, th.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.key { white-space: nowrap; } td.wide { overflow-wrap: anywhere; }
code { font: .88em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
ol { padding-left: 1.4em; margin: 8px 0; } li { margin: 5px 0; }
.bars { display: grid; grid-template-columns: minmax(6em, max-content) 1fr max-content; gap: 7px 14px;
  align-items: center; font-size: .92rem; margin: 12px 0; }
.bars .name { overflow-wrap: anywhere; } .bars .value { text-align: right; font-variant-numeric: tabular-nums; }
.track { background: var(--wash); border-radius: 4px; }
.bar { background: var(--blue); border-radius: 4px; height: 14px; }
.bar.bad { background: var(--bad); }
.plot { width: 100%; min-width: 560px; font-size: 12px; } .plot text { fill: var(--dim); }
.plot .grid { stroke: var(--line); } .plot .line { fill: none; stroke: var(--dim); stroke-width: 1.5; }
.plot .dot { fill: var(--blue); } .plot .worst { fill: var(--bad); }
footer { margin-top: 44px; color: var(--dim); font-size: .85rem; }
"""
)
