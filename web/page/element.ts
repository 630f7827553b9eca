// Elements of the page, made without markup in strings.

type Child = Node | string | undefined;
type Properties = Readonly<Record<string, string | boolean | number | undefined | ((event: Event) => unknown)>>;

/** An element with properties, `on...` listeners, attributes with a dash or `role`, and children. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, String(value));
    else (made as unknown as Record<string, unknown>)[name] = value;
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

/** A button. */
export function button(
  label: string,
  onclick: () => unknown,
  kind: "main" | "plain" | "danger" = "plain",
): HTMLButtonElement {
  return element("button", { type: "button", className: kind, onclick }, label);
}

/** A titled part of the page. */
export function card(title: string, id: string, ...children: readonly Child[]): HTMLElement {
  const heading = element("h2", { id, tabIndex: -1 }, title);
  return element("section", { className: `card ${id}`, "aria-labelledby": id }, heading, ...children);
}

/** Names and values. */
export function facts(rows: readonly (readonly [string, string])[]): HTMLDListElement {
  const lines = rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  return element("dl", {}, ...lines);
}

/** The words of a secret, numbered. */
export function wordList(words: string, label: string): HTMLOListElement {
  const lines = words.split(" ").map((word) => element("li", {}, word));
  return element("ol", { className: "words", "aria-label": label }, ...lines);
}

/** Show or hide. */
export function show(what: HTMLElement, visible: boolean): void {
  what.hidden = !visible;
}

/** Hexadecimal digits in groups of four, for comparing. */
export function grouped(digits: string): string {
  return (digits.match(/.{1,4}/g) ?? []).join(" ");
}

/** Ask before what cannot be taken back. */
export function confirm(question: string, yes: string, no: string): Promise<boolean> {
  return new Promise((resolve) => {
    const text = element("p", { id: "question" }, question);
    const close = (answer: boolean) => () => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    const buttons = element("div", { className: "row" }, button(yes, close(true), "danger"), button(no, close(false)));
    const dialog = element("dialog", { "aria-labelledby": "question", oncancel: close(false) }, text, buttons);
    document.body.append(dialog);
    dialog.showModal();
  });
}
