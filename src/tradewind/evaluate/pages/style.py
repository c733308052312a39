"""The style sheet of reports: light and dark by the reader's setting, readable on a phone, and printable."""

from __future__ import annotations

from typing import Final

__all__ = ["SHEET", "highlights"]

COLOURS: Final = 14
"""Lines that have a look of their own; the first is hold's."""
STRONG: Final = (10, 11)
"""Those of the last two of the default rows, which are made of the others."""

SHEET: Final = """
:root { color-scheme: light dark; --ink: #1c2330; --faint: #667085; --paper: #ffffff; --panel: #f5f7fa; --rule: #dfe3ea;
  --gain: 22, 143, 91; --loss: 204, 60, 60;
  --c0: #8a93a3; --c1: #2563eb; --c2: #d9480f; --c3: #0f9d58; --c4: #9333ea; --c5: #c2185b; --c6: #0891b2; --c7: #a16207;
  --c8: #4d7c0f; --c9: #1e3a8a; --c10: #111827; --c11: #be123c; --c12: #0f766e; --c13: #7c2d12; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --faint: #98a2b3; --paper: #12161d; --panel: #1a202a; --rule: #2d3542;
  --gain: 52, 199, 137; --loss: 240, 98, 98;
  --c0: #8b95a7; --c1: #6ea8fe; --c2: #ff9459; --c3: #4ade80; --c4: #c792ff; --c5: #ff7eb6; --c6: #39d0e6; --c7: #e3b341;
  --c8: #a3d65c; --c9: #8aa4ff; --c10: #f5f6f8; --c11: #fb7185; --c12: #5eead4; --c13: #fdba74; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1160px; padding: 2rem 1.2rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.6rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; } p { margin: .4rem 0; max-width: 75ch; }
.faint, figcaption { color: var(--faint); } .small { font-size: .86rem; }
.lead { border-left: 4px solid var(--c1); background: var(--panel); padding: .8rem 1.1rem; margin: 1.2rem 0; border-radius: 0 6px 6px 0; }
.lead strong { font-size: 1.15rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .88rem; }
th, td { padding: .34rem .55rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
thead th { color: var(--faint); font-weight: 600; vertical-align: bottom; white-space: normal; }
th[scope=row], td.text { text-align: left; }
td .beside, th .beside { display: block; color: var(--faint); font-size: .8em; font-weight: 400; }
td.sum { font-weight: 600; }
table.months td, table.months th { padding: .3rem .35rem; font-size: .8rem; }
td.gain { background: rgba(var(--gain), calc(var(--strength) * .45)); }
td.loss { background: rgba(var(--loss), calc(var(--strength) * .45)); }
.label { display: inline-block; padding: .05rem .55rem; border-radius: 1rem; font-weight: 600; font-size: .82rem; border: 1px solid; }
.label.edge { color: rgb(var(--gain)); } .label.no-edge { color: rgb(var(--loss)); } .label.cannot-tell { color: var(--faint); }
figure { margin: .6rem 0 0; } svg { width: 100%; min-width: 560px; height: auto; display: block; }
.grid { stroke: var(--rule); stroke-width: 1; } .across { stroke: var(--faint); stroke-width: 1; stroke-dasharray: 3 3; }
.tick { fill: var(--faint); font-size: 11px; }
.line { fill: none; stroke-width: 1.6; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.keys { display: flex; flex-wrap: wrap; gap: .15rem .9rem; margin: .3rem 0; padding: 0; list-style: none; font-size: .86rem; }
.keys li { cursor: default; }
.keys svg { display: inline-block; width: 26px; min-width: 0; height: 8px; margin-right: .35rem;
  vertical-align: middle; }
.small-charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: .4rem 1.4rem; }
.small-charts svg { min-width: 0; overflow: visible; } .small-charts .tick { font-size: 20px; }
details { border-bottom: 1px solid var(--rule); padding: .35rem 0; } summary { cursor: pointer; }
details ul { margin: .3rem 0 .6rem; padding-left: 1.2rem; }
pre { background: var(--panel); padding: .8rem 1rem; border-radius: 6px; overflow-x: auto; font-size: .8rem; line-height: 1.45; }
@media print { body { max-width: none; padding: 0; font-size: 11px; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; }
  .scroll { overflow: visible; } svg { min-width: 0; } }
@media (max-width: 600px) { body { padding: 1.2rem .8rem 3rem; } h1 { font-size: 1.35rem; } .small-charts { grid-template-columns: 1fr; } }
"""


def highlights() -> str:
    """Rules that colour line k, and let the others fade while its key is pointed at."""
    rules = []
    for k in range(COLOURS):
        dash = "" if k < 7 else " stroke-dasharray: 6 3;"
        width = " stroke-width: 2.2;" if k in STRONG else ""
        rules.append(f".c{k} {{ stroke: var(--c{k});{dash}{width} }}")
        rules.append(f"figure:has(.k{k}:hover) .line:not(.c{k}) {{ opacity: .12; }}")
    return "\n".join(rules)
