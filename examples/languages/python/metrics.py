"""The four metrics: what each is called and reads, and which rows give samples."""

from business import BusinessHours
from contract import COUNT, DAY, HOUR, MINUTE, describe, field, output, samples
from packed import Wrong, bits, i64s, saturated, texts
from states import Count, Spent, Waits
from wit_world.imports.types import Reject, ValueType, Window_Day, Window_Now, Window_Tumbling


class Created:
    """Rows inserted, at their created_at."""

    state = Count
    info = describe(
        "ticket.created",
        "Tickets created",
        "New tickets: rows inserted, at their created_at.",
        "ticket",
        [
            field("queue_id"),
            field("channel", ValueType.TEXT),
            field("priority"),
            field("created_at", ValueType.TIME),
        ],
        ["queue_id", "channel", "priority"],
        [COUNT],
        watches=["created_at"],
    )

    def __init__(self, config):
        pass

    def observe(self, changes):
        n = changes.rows
        before = bits("before-present", changes.before_present, n)
        after = bits("after-present", changes.after_present, n)
        created = i64s("created_at", changes.after[3].values, n)
        rows = [row for row in range(n) if after[row] and not before[row]]
        return samples(rows, [created[row] for row in rows])


class Backlog:
    """Rows whose status is new, open or pending."""

    state = Count
    info = describe(
        "ticket.backlog",
        "Ticket backlog",
        "Tickets that wait for someone: status new, open or pending.",
        "ticket",
        [field("queue_id"), field("priority"), field("status", ValueType.TEXT)],
        ["queue_id", "priority"],
        [COUNT],
        windows=[Window_Now()],
        extra=[("form", "table")],
    )

    def __init__(self, config):
        pass

    def observe_image(self, images):
        codes = i64s("status", images.columns[2].values, images.rows)
        # Texts are compared once for a batch, rows by number.
        waits = {
            code
            for code, text in enumerate(texts(images.dictionaries[2]))
            if text in (b"new", b"open", b"pending")
        }
        return samples([row for row, code in enumerate(codes) if code in waits])


class FirstReplyTime:
    """The wait, when first_reply_at becomes set."""

    state = Waits
    info = describe(
        "ticket.first_reply_time",
        "First reply time",
        "Time from creation to the first reply, at the first reply: when first_reply_at becomes set.",
        "ticket",
        [
            field("queue_id"),
            field("assignee_id", nullable=True),
            field("created_at", ValueType.TIME),
            field("first_reply_at", ValueType.TIME, nullable=True),
        ],
        ["queue_id", "assignee_id"],
        [
            output("mean", "The arithmetic mean.", nullable=True),
            output("p50", "50 % of the values are at most this; within 1 %.", nullable=True),
            output("p90", "90 % of the values are at most this; within 1 %.", nullable=True),
            output("max", "The greatest value.", nullable=True),
            COUNT,
            output("mean_business", "The arithmetic mean in business hours.", nullable=True),
        ],
        watches=["first_reply_at"],
        unit="s",
        values=[field("wait"), field("business_wait")],
        extra=[("form", "table")],
    )

    def __init__(self, config):
        text = config.get("business_hours", "Mon-Fri 09:00-18:00 UTC")
        try:
            self.hours = BusinessHours(text)
        except Wrong as why:
            raise Wrong(f"config key business_hours cannot be {text!r}: {why}") from why

    def observe(self, changes):
        n = changes.rows
        before = bits("before-present", changes.before_present, n)
        after = bits("after-present", changes.after_present, n)
        was_set = bits("first_reply_at", changes.before[3].validity, n)
        is_set = bits("first_reply_at", changes.after[3].validity, n)
        created = i64s("created_at", changes.after[2].values, n)
        replied = i64s("first_reply_at", changes.after[3].values, n)
        rows = [
            row for row in range(n) if after[row] and is_set[row] and not (before[row] and was_set[row])
        ]
        times = [replied[row] for row in rows]
        waits = [saturated(replied[row] - created[row]) for row in rows]
        business = [self.hours.between(created[row], replied[row]) for row in rows]
        return samples(rows, times, [waits, business])


class StateTime:
    """The span that ends with a change of state, for the state that was left."""

    state = Spent
    names = ["available", "on_contact", "wrapup", "break", "error"]
    info = describe(
        "agent.state_time",
        "Agent state time",
        "Time that agents spent in each state: the span from one change to the next, for the state left.",
        "agent_state",
        [
            field("agent_id"),
            field("queue_id"),
            field("state", ValueType.TEXT),
            field("since", ValueType.TIME),
        ],
        ["queue_id", "agent_id"],
        [output(name, f"Seconds in the state {name}.") for name in names],
        watches=["state", "since"],
        unit="s",
        windows=[Window_Tumbling(15 * MINUTE), Window_Tumbling(HOUR), Window_Day()],
        values=[field("state")],
        extra=[("board", "team"), ("form", "table"), ("correct_for", "26h")],
    )

    def __init__(self, config):
        pass

    def observe(self, changes):
        n = changes.rows
        before = bits("before-present", changes.before_present, n)
        after = bits("after-present", changes.after_present, n)
        codes = i64s("state", changes.before[2].values, n)
        left, entered = (i64s("since", image[3].values, n) for image in (changes.before, changes.after))
        # The number of each text's output; -1 is offline, None a state that nobody knows.
        numbers = {name.encode(): number for number, name in enumerate(["offline", *self.names], -1)}
        known = [numbers.get(text) for text in texts(changes.dictionaries[2])]
        rows, starts, ends, states, rejects = [], [], [], [], []
        for row in range(n):
            if not (before[row] and after[row]):
                continue
            state = known[codes[row]]
            if state is None:
                rejects.append(Reject(row=row, reason="its state is none that an agent has"))
                continue
            if state < 0 or entered[row] <= left[row]:
                continue
            if entered[row] - left[row] > DAY:
                rejects.append(Reject(row=row, reason="more than 24 hours in one state"))
                continue
            rows.append(row)
            starts.append(left[row])
            ends.append(entered[row])
            states.append(state)
        return samples(rows, starts, [states], untils=ends, before=True, rejects=rejects)


ALL = {metric.info.name: metric for metric in (Created, Backlog, FirstReplyTime, StateTime)}
