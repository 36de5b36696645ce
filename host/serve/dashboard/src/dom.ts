// Small helpers over the page.

/** The element of an id that stands in index.html. */
export function byId<T extends Element = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`index.html has no #${id}`);
  return element as unknown as T;
}

type Attributes = Record<string, string | number | boolean | undefined>;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  set(element, attributes);
  element.append(...children);
  return element;
}

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(element, attributes);
  element.append(...children);
  return element;
}

/** Sets attributes; false and undefined remove them. */
export function set(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    const text = value === true ? "" : value === false || value === undefined ? null : String(value);
    if (text === null) element.removeAttribute(name);
    else if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/** Sets a text, touching the page only if it differs; tells whether it did. */
export function text(element: Element, value: string): boolean {
  if (element.textContent === value) return false;
  element.textContent = value;
  return true;
}

/** Makes `parent`'s children those of `keys`, in order, reusing what is there so that focus stays. */
export function reconcile<T extends HTMLElement>(parent: Element, keys: string[], make: (key: string) => T): T[] {
  const old = new Map<string, T>();
  for (const child of parent.children) old.set((child as T).dataset.key ?? "", child as T);
  const wanted = keys.map((key) => {
    const element = old.get(key) ?? make(key);
    element.dataset.key = key;
    old.delete(key);
    return element;
  });
  for (const element of old.values()) element.remove();
  wanted.forEach((element, i) => {
    if (parent.children[i] !== element) parent.insertBefore(element, parent.children[i] ?? null);
  });
  return wanted;
}

/** Options of a select, keeping the choice. */
export function choices(select: HTMLSelectElement, options: [value: string, label: string][], chosen: string): void {
  const same =
    select.options.length === options.length &&
    options.every(([value, label], i) => select.options[i]?.value === value && select.options[i]?.text === label);
  if (!same) select.replaceChildren(...options.map(([value, label]) => new Option(label, value)));
  if (select.value !== chosen) select.value = chosen;
}
