// The stream of events, which comes back by itself.

import type { Event } from "./state";

export type Connection = "connecting" | "live" | "lost";

const NAMES = ["snapshot", "change", "alive", "catalogue", "health"] as const;
const WAIT_MS_MAX = 10_000;

export class Stream {
  private source: EventSource | null = null;
  private timer: number | undefined;
  private waitMs = 1_000;

  constructor(
    /** Asked before every attempt; after a refused one with `cautious`, to ask only for what always exists. */
    private readonly url: (cautious: boolean) => string,
    private readonly onEvent: (event: Event) => void,
    private readonly onConnection: (connection: Connection) => void,
  ) {}

  /** Connects, in place of a connection that there may be. */
  open(cautious = false): void {
    clearTimeout(this.timer);
    this.source?.close();
    const source = new EventSource(this.url(cautious));
    this.source = source;
    for (const name of NAMES) {
      source.addEventListener(name, (message) => {
        if (source !== this.source) return;
        this.waitMs = 1_000;
        if (name === "snapshot") this.onConnection("live");
        this.onEvent({ type: name, data: JSON.parse(message.data) } as Event);
      });
    }
    source.onerror = () => {
      if (source !== this.source) return;
      // The browser's own retries end at the first refusal; ours do not.
      const refused = source.readyState === EventSource.CLOSED;
      source.close();
      this.onConnection("lost");
      this.timer = window.setTimeout(() => this.open(refused), this.waitMs);
      this.waitMs = Math.min(this.waitMs * 2, WAIT_MS_MAX);
    };
  }
}
