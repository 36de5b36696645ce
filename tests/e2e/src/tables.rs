//! The tables of examples/service and the topics that carry their changes.

pub const TABLES: [&str; 7] =
    ["ticket", "call_record", "im_session", "agent_state", "survey", "agent", "queue"];

/// In the order of [`TABLES`].
pub const TOPICS: [&str; 7] = [
    "svc.service.ticket",
    "svc.service.call_record",
    "svc.service.im_session",
    "svc.service.agent_state",
    "svc.service.survey",
    "svc.service.agent",
    "svc.service.queue",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_carries_the_table_that_its_name_ends_with() {
        let ends: Vec<&str> = TOPICS.iter().filter_map(|topic| topic.rsplit('.').next()).collect();
        assert_eq!(ends, TABLES);
    }
}
