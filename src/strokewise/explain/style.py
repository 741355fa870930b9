"""How the page looks: its style sheet. Light and dark, narrow and wide, on paper."""

STYLE_SHEET = """
:root { color-scheme: light dark; --ink: #14233b; --faint: #5b6675; --line: #d5dae1; --ground: #fff; --card: #f5f7fa;
  --bar: #0d2b59; --pale: #b8c2d0; --mark: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --faint: #9aa6b5; --line: #343d4a; --ground: #12161c;
  --card: #1a2029; --bar: #8db4f0; --pale: #45536a; --mark: #fb923c; }
  img.map { filter: invert(1) hue-rotate(180deg); } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem clamp(0.75rem, 3vw, 2.5rem) 4rem; max-width: 84rem; background: var(--ground);
  color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 0.5rem; }
h2 { font-size: 1.45rem; margin: 3rem 0 0.5rem; padding-top: 1rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.08rem; margin: 1.8rem 0 0.3rem; }
h4 { font-size: 0.95rem; margin: 0 0 0.4rem; }
p, dd { max-width: 48rem; }
p { margin: 0.3rem 0 0.8rem; }
a { color: inherit; text-underline-offset: 0.15em; }
figure { margin: 0; }
figcaption, .note { font-size: 0.8rem; line-height: 1.3; color: var(--faint); }
img { display: block; image-rendering: pixelated; max-width: 100%; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 1rem 0; padding: 0; }
nav a { display: block; width: 5.5rem; padding: 0.4rem; border: 1px solid var(--line); border-radius: 0.4rem;
  text-align: center; font-size: 0.8rem; text-decoration: none; overflow-wrap: anywhere; }
nav img { width: 100%; margin-bottom: 0.2rem; }
.row { display: flex; flex-wrap: wrap; gap: 1rem 1.4rem; align-items: flex-start; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 0.5rem; padding: 0.7rem;
  max-width: 100%; }
.steps { display: flex; gap: 0.5rem; align-items: flex-start; }
.steps figure { width: 4.6rem; }
figure img { width: 100%; }
.steps figcaption { margin-top: 0.3rem; font-size: 0.7rem; }
.steps figcaption b { font-weight: 500; color: var(--ink); }
.seen { position: relative; width: 9rem; border: 1px solid var(--line); }
.seen img { width: 100%; }
.seen i { position: absolute; border: 2px solid var(--mark); box-shadow: 0 0 0 1px #fff8; }
.unit .seen, .unit .patches { width: 4.9rem; }
.unit .patches img { width: 100%; }
.unit .row { gap: 0.5rem; flex-wrap: nowrap; }
.unit { width: 11.8rem; }
.units { gap: 0.7rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.85rem; }
table.scores td, table.scores th { padding: 0.08rem 0.5rem 0.08rem 0; text-align: left; font-weight: normal; }
table.scores td:last-child { text-align: right; padding-right: 0; white-space: nowrap; }
table.scores .best th, table.scores .best td { font-weight: 600; }
.bar { display: block; width: 7rem; height: 0.7rem; background: linear-gradient(var(--pale), var(--pale)) no-repeat;
  background-size: var(--share) 100%; border-left: 1px solid var(--line); }
.best .bar { background-image: linear-gradient(var(--bar), var(--bar)); }
table.square td { width: 3.3rem; height: 2.6rem; text-align: center; border: 1px solid var(--line); }
table.plain th, table.plain td { padding: 0.2rem 0.9rem 0.2rem 0; text-align: left;
  border-bottom: 1px solid var(--line); }
.sum { display: flex; flex-wrap: wrap; gap: 0.4rem 0.7rem; align-items: center; }
.sum > b { font-size: 1.2rem; font-weight: 500; }
output { font-variant-numeric: tabular-nums; font-weight: 600; }
dt { font-weight: 600; margin-top: 0.9rem; }
dd { margin: 0.1rem 0 0; }
@media (max-width: 30rem) { h1 { font-size: 1.5rem; } .steps { gap: 0.3rem; } .steps figure { width: 4.4rem; }
  .card { padding: 0.5rem; } .unit { width: 11rem; } .unit .seen, .unit .patches { width: 4.6rem; } }
@media print { html { font-size: 10.5px; } body { max-width: none; padding: 0; font-size: 1rem; } nav { display: none; }
  section.story { break-before: page; } .card, figure, table { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
