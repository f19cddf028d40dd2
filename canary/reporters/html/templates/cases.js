"use strict";
// Shows the cases embedded in this page, a page at a time. Every text by others
// enters the page through `textContent` alone: nothing of it is ever parsed.
(() => {
  const SIZE = 25;
  const MOST_TOKENS = 1500; // of a side; a longer difference is shown by its common beginning and end
  const LEAST_SHARED = 0.25; // of the longer side; with less in common marks only hinder reading
  const { head, cases } = JSON.parse(document.getElementById("data").textContent);
  const SIGNS = { lost: "✕", won: "✓", "both fail": "–", unscored: "?", "both pass": "=" };
  const at = (id) => document.getElementById(id);
  const controls = ["direction", "stratum", "metric", "text"].map(at);
  let found = [];
  let start = 0;

  function make(name, className, ...children) {
    const node = document.createElement(name);
    if (className) node.className = className;
    node.append(...children.filter((child) => child !== null && child !== ""));
    return node;
  }

  // --- text by others -------------------------------------------------------

  const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}\u00a0\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]|(?<=\p{M}{3})\p{M}+/gu;

  /** Fragments in which every character that hides, moves or reorders is a visible chip. */
  function seen(text) {
    const pieces = [];
    let from = 0;
    for (const match of text.matchAll(UNSEEN)) {
      if (match[0] === "\n" || match[0] === "\t") continue;
      pieces.push(text.slice(from, match.index));
      const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      const more = [...match[0]].length;
      pieces.push(make("span", "chip", more > 1 ? `+${more} marks` : `U+${code}`));
      from = match.index + match[0].length;
    }
    pieces.push(text.slice(from));
    return pieces;
  }

  const whole = (text) => (Array.isArray(text) ? text[0] : text || "");
  const rest = (text) =>
    Array.isArray(text) ? make("span", "cut", ` … ${text[1].toLocaleString("en")} more characters are in responses.jsonl`) : null;

  // --- difference, word by word ---------------------------------------------

  const words = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) || [];

  /** For each side, tokens as [text, is common]. */
  function compare(left, right) {
    const a = words(left), b = words(right);
    let first = 0, last = 0;
    while (first < a.length && first < b.length && a[first] === b[first]) first++;
    while (last < a.length - first && last < b.length - first && a[a.length - 1 - last] === b[b.length - 1 - last]) last++;
    const inner = [a.slice(first, a.length - last), b.slice(first, b.length - last)];
    const kept = common(...inner);
    const shared = first + last + kept[0].size;
    if (shared < LEAST_SHARED * Math.max(a.length, b.length)) return [a, b].map((side) => side.map((word) => [word, true]));
    return [a, b].map((side, number) => side.map((word, place) => {
      const inside = place >= first && place < side.length - last;
      return [word, !inside || kept[number].has(place - first)];
    }));
  }

  /** Places of a longest common subsequence; none where the sides are too long to ask. */
  function common(a, b) {
    const kept = [new Set(), new Set()];
    if (!a.length || !b.length || a.length > MOST_TOKENS || b.length > MOST_TOKENS) return kept;
    const wide = b.length + 1;
    const lengths = new Uint16Array((a.length + 1) * wide);
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        lengths[i * wide + j] = a[i] === b[j]
          ? lengths[(i + 1) * wide + j + 1] + 1
          : Math.max(lengths[(i + 1) * wide + j], lengths[i * wide + j + 1]);
      }
    }
    for (let i = 0, j = 0; i < a.length && j < b.length; ) {
      if (a[i] === b[j]) { kept[0].add(i++); kept[1].add(j++); }
      else if (lengths[(i + 1) * wide + j] >= lengths[i * wide + j + 1]) i++;
      else j++;
    }
    return kept;
  }

  function marked(tokens, name) {
    const nodes = [];
    let run = "", same = true;
    const flush = () => { if (run) nodes.push(...(same ? seen(run) : [make(name, "", ...seen(run))])); run = ""; };
    for (const [word, isCommon] of tokens) {
      if (isCommon !== same) { flush(); same = isCommon; }
      run += word;
    }
    flush();
    return nodes;
  }

  // --- one case -------------------------------------------------------------

  function block(title, text) {
    const box = make("div", "text", ...seen(whole(text)), rest(text));
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", title);
    return make("div", "", make("h4", "", title), box);
  }

  function side(number, answer, tokens) {
    const title = head.arms[number];
    const box = make("div", "text");
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", title);
    if (answer.none) box.append(make("span", "empty", "not answered"));
    if (answer.x) box.append(make("span", "error", `${answer.x[0]} error: `, ...seen(whole(answer.x[1]))), rest(answer.x[1]) || "", "\n");
    if (!answer.none && !answer.x && whole(answer.t) === "") box.append(make("span", "empty", "empty"));
    box.append(...marked(tokens, number ? "ins" : "del"), rest(answer.t) || "");
    return make("div", `side-${number}`, make("h4", "", title, answer.f ? ` · ${answer.f}` : ""), box);
  }

  function grade(value) {
    if (value === null) return make("span", "", "not scored");
    if (value === true) return make("span", "yes", "✓ pass");
    if (value === false) return make("span", "no", "✕ fail");
    return make("span", "", String(value));
  }

  function grades(one) {
    const titles = ["metric", head.arms[0], head.arms[1], "why"];
    const table = make("table", "grades", make("thead", "", make("tr", "", ...titles.map((title) => {
      const cell = make("th", "", title);
      cell.scope = "col";
      return cell;
    }))));
    table.append(make("tbody", "", ...one.m.map(([metric, direction, before, after, beforeWhy, afterWhy]) => {
      const name = make("th", "", ...seen(head.metrics[metric]));
      name.scope = "row";
      const why = [[0, beforeWhy], [1, afterWhy]].filter(([, text]) => whole(text))
        .flatMap(([number, text], place) => [place ? make("br") : "", `${head.arms[number]}: `, ...seen(whole(text)), rest(text)]);
      const cells = [[grade(before)], [grade(after)], why].map((content, number) => {
        const cell = make("td", "", ...content);
        cell.dataset.label = titles[number + 1];
        return cell;
      });
      return make("tr", direction < 2 ? "flipped" : "", name, ...cells);
    })));
    return table;
  }

  function body(one) {
    const tokens = compare(whole(one.b.t), whole(one.c.t));
    return make("div", "body",
      one.q ? block("asked", one.q) : null,
      one.e !== undefined ? block("expected", one.e) : null,
      make("div", "sides", side(0, one.b, tokens[0]), side(1, one.c, tokens[1])),
      one.m.length ? grades(one) : null);
  }

  const STATUS = { lost: "fail", won: "pass", unscored: "inconclusive" };

  function line(one) {
    const direction = head.directions[stands(one)];
    const sign = make("span", "sign", SIGNS[direction]);
    sign.setAttribute("aria-hidden", "true");
    const summary = make("summary", "",
      make("span", `badge ${STATUS[direction] || ""}`, sign, direction),
      make("span", "id", ...seen(one.i), one.r ? ` repeat ${one.r}` : ""),
      make("span", "stratum", ...seen(head.strata[one.s])),
      make("span", "asked", ...seen(whole(one.q).slice(0, 160))));
    const details = make("details", "case", summary);
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(body(one));
    });
    return details;
  }

  // --- filter and pages -----------------------------------------------------

  /** How a case stands: in the chosen metric, else in what decides; undefined where it has no such metric. */
  function stands(one) {
    const metric = at("metric").value;
    if (metric === "") return one.d;
    const entry = one.m.find(([number]) => number === Number(metric));
    return entry && entry[1];
  }

  function haystack(one) {
    one.h ??= [one.i, one.q, one.e, one.b.t, one.c.t, one.b.x && one.b.x[1], one.c.x && one.c.x[1], ...one.m.flatMap((entry) => entry.slice(4))]
      .map(whole).join("\n").toLowerCase();
    return one.h;
  }

  function filter() {
    const [direction, stratum, , text] = controls.map((control) => control.value);
    const needle = text.trim().toLowerCase();
    found = cases.filter((one) => {
      const here = stands(one);
      return here !== undefined && (direction === "" || here === Number(direction))
        && (stratum === "" || one.s === Number(stratum)) && (!needle || haystack(one).includes(needle));
    });
    show(0);
  }

  function show(from) {
    start = from;
    const shown = found.slice(start, start + SIZE);
    at("list").replaceChildren(...shown.map(line));
    const total = found.length.toLocaleString("en");
    at("found").textContent = `${total} ${found.length === 1 ? "case" : "cases"} found`;
    at("place").textContent = `${(start + 1).toLocaleString("en")} to ${(start + shown.length).toLocaleString("en")} of ${total}`;
    at("pager").hidden = found.length <= SIZE;
    at("before").disabled = start === 0;
    at("after").disabled = start + SIZE >= found.length;
    if (shown.length && stands(shown[0]) < 2) at("list").firstElementChild.open = true;
  }

  function turn(by) {
    show(Math.max(0, start + by));
    const first = at("list").querySelector("summary");
    if (first) first.focus();
    at("found").scrollIntoView({ block: "nearest" });
  }

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const lines = [...at("list").querySelectorAll("summary")];
    const here = lines.indexOf(document.activeElement);
    if (here < 0) return;
    const by = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (by && lines[here + by]) lines[here + by].focus();
    if (event.key === "/") at("text").focus();
    if (by || event.key === "/") event.preventDefault();
  }

  let waiting;
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const control of controls) {
    control.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(filter, control.id === "text" ? 120 : 0);
    });
  }
  at("before").addEventListener("click", () => turn(-SIZE));
  at("after").addEventListener("click", () => turn(SIZE));
  at("list").addEventListener("keydown", press);
  if (cases.some((one) => one.d === 0)) at("direction").value = "0";
  filter();
})();
