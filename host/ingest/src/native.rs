//! A consumer on librdkafka's own calls. rdkafka's `BaseConsumer` hands out one message a call and
//! hides the topic of an end of partition; here messages come in bulk, errors with their topic.
//! All `unsafe` of this crate is in this file.

use crate::{IngestError, config};
use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaRespErr, RDKafkaType};
use rdkafka::{ClientConfig, Offset, Statistics, TopicPartitionList};
use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use weir_types::record::{Record, Rekey};

/// How long the client may take to note new places; no broker is asked.
const SEEK_PATIENCE: Duration = Duration::from_secs(1);
/// Most messages that one poll gives.
pub const MAX_MESSAGES: usize = 4096;

/// Error codes that are looked at, as plain numbers: a broker may send codes that no enum knows.
pub mod code {
    use rdkafka::types::RDKafkaRespErr as E;
    pub const NONE: i32 = E::RD_KAFKA_RESP_ERR_NO_ERROR as i32;
    pub const END_OF_PARTITION: i32 = E::RD_KAFKA_RESP_ERR__PARTITION_EOF as i32;
    pub const OFFSET_RESET: i32 = E::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET as i32;
    pub const OFFSET_OUT_OF_RANGE: i32 = E::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE as i32;
    pub const UNKNOWN_TOPIC: i32 = E::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART as i32;
    pub const UNKNOWN_PARTITION: i32 = E::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION as i32;
    pub const TOPIC_DENIED: i32 = E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED as i32;
    pub const ALL_BROKERS_DOWN: i32 = E::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as i32;
    pub const GROUP_DENIED: i32 = E::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED as i32;
}

/// Receives what librdkafka says of itself.
#[derive(Default)]
pub struct Context {
    /// The newest error of a connection, and how many there were.
    last_error: Mutex<(u64, String)>,
}

impl Context {
    /// How many errors there were, and the newest that says more than that brokers are down.
    pub fn last_error(&self) -> (u64, String) {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, error: i32, reason: &str) {
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        last.0 += 1;
        if error != code::ALL_BROKERS_DOWN || last.1.is_empty() {
            // What follows are durations and counts, which would make every text a new one.
            last.1 = reason.split(" (after ").next().unwrap_or(reason).to_string();
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        config::log(level, facility, message);
    }
    fn stats(&self, _: Statistics) {}
    fn error(&self, _: KafkaError, reason: &str) {
        self.note(code::NONE, reason);
    }
}

/// A consumer of assigned partitions.
pub struct Consumer {
    queue: *mut rd::rd_kafka_queue_t,
    client: Client<Context>,
    /// Lives as long as the client, whose callbacks point to it.
    _context: Arc<Context>,
}

// SAFETY: librdkafka's handles and queues may be used from any thread, and from several at a time.
unsafe impl Send for Consumer {}
// SAFETY: as above.
unsafe impl Sync for Consumer {}

impl Consumer {
    /// `config` must name a `group.id`.
    pub fn new(config: &ClientConfig) -> Result<Consumer, IngestError> {
        let native = config.create_native_config().map_err(config::client_error)?;
        // SAFETY: the configuration is ours until the client takes it over; the opaque pointer that
        // the callbacks get is the context, which `Client::new` sets and keeps.
        unsafe {
            rd::rd_kafka_conf_set_error_cb(native.ptr(), Some(on_error));
            rd::rd_kafka_conf_set_log_cb(native.ptr(), Some(on_log));
            rd::rd_kafka_conf_set_offset_commit_cb(native.ptr(), Some(on_commit));
        }
        let client = Client::new(config, native, RDKafkaType::RD_KAFKA_CONSUMER, Context::default())
            .map_err(config::client_error)?;
        let context = Arc::clone(client.context());
        // SAFETY: the client is alive; it owns a consumer queue because it has a group.
        let queue = unsafe {
            rd::rd_kafka_poll_set_consumer(client.native_ptr());
            rd::rd_kafka_queue_get_consumer(client.native_ptr())
        };
        if queue.is_null() {
            return Err(IngestError::Config("kafka consumer has no queue: set `group.id`".into()));
        }
        Ok(Consumer { queue, client, _context: context })
    }

    pub fn client(&self) -> &Client<Context> {
        &self.client
    }

    /// Adds a partition to those that are read, from an offset on.
    pub fn assign(&self, topic: &str, partition: i32, begin: Offset) -> Result<(), String> {
        let list = list_of(&[(topic, partition, begin)])?;
        // SAFETY: client and list are alive.
        unsafe { outcome(rd::rd_kafka_incremental_assign(self.client.native_ptr(), list.ptr()))? };
        // It may have been paused before: librdkafka remembers that of partitions that are not assigned too.
        self.resume(&list);
        Ok(())
    }

    /// Reads an assigned partition from another offset on. Nothing that was fetched before comes any more.
    pub fn reassign(&self, topic: &str, partition: i32, begin: Offset) -> Result<(), String> {
        let list = list_of(&[(topic, partition, Offset::Invalid)])?;
        // SAFETY: client and list are alive.
        unsafe { outcome(rd::rd_kafka_incremental_unassign(self.client.native_ptr(), list.ptr()))? };
        self.assign(topic, partition, begin)
    }

    /// Stops fetching from partitions. What is fetched and not yet polled is fetched again later, from
    /// where `seek` says: librdkafka's own idea of the place is wrong after an end of partition, which
    /// its batches count as a record, so that the next one would be skipped.
    pub fn pause(&self, partitions: &TopicPartitionList) {
        // SAFETY: client and list are alive.
        let error = unsafe { rd::rd_kafka_pause_partitions(self.client.native_ptr(), partitions.ptr()) };
        log_failure("pause", error);
    }

    /// Sets where each partition goes on. The error says why one of them cannot.
    pub fn seek(&self, places: &TopicPartitionList) -> Result<(), String> {
        let wait = SEEK_PATIENCE.as_millis() as c_int;
        // SAFETY: client and list are alive; a returned error is ours to destroy.
        unsafe {
            let error = rd::rd_kafka_seek_partitions(self.client.native_ptr(), places.ptr(), wait);
            if !error.is_null() {
                let text = text(rd::rd_kafka_error_string(error)).into_owned();
                rd::rd_kafka_error_destroy(error);
                return Err(text);
            }
        }
        places.elements().iter().try_for_each(|place| place.error().map_err(|e| e.to_string()))
    }

    /// Goes on where each partition was left.
    pub fn resume(&self, partitions: &TopicPartitionList) {
        // SAFETY: client and list are alive.
        let error = unsafe { rd::rd_kafka_resume_partitions(self.client.native_ptr(), partitions.ptr()) };
        log_failure("resume", error);
    }

    /// Stores the group's offsets without waiting for an answer.
    pub fn commit(&self, next: &TopicPartitionList) {
        // SAFETY: client and list are alive; the list is copied.
        let error = unsafe { rd::rd_kafka_commit(self.client.native_ptr(), next.ptr(), 1) };
        log_failure("commit", error);
    }

    /// Replaces what is in `messages` by what is there now, or comes within `wait`.
    pub fn poll(&self, messages: &mut Messages, wait: Duration) {
        messages.clear();
        self.fill(messages, Duration::ZERO, MAX_MESSAGES);
        if messages.list.is_empty() && !wait.is_zero() {
            // librdkafka would wait until the buffer is full: wait for one, then take what is there.
            self.fill(messages, wait, 1);
            if !messages.list.is_empty() {
                self.fill(messages, Duration::ZERO, MAX_MESSAGES - 1);
            }
        }
    }

    fn fill(&self, messages: &mut Messages, wait: Duration, most: usize) {
        let before = messages.list.len();
        messages.list.reserve(most);
        // SAFETY: there is room for `most` pointers behind the vector's end; the call fills the first
        // `count` of them with messages that are ours to destroy.
        unsafe {
            let end = messages.list.as_mut_ptr().add(before);
            let count = rd::rd_kafka_consume_batch_queue(self.queue, wait.as_millis() as c_int, end, most);
            messages.list.set_len(before + count.max(0) as usize);
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // SAFETY: the queue is ours, and must go before the client.
        unsafe { rd::rd_kafka_queue_destroy(self.queue) }
    }
}

/// A list of partitions with offsets.
pub fn list_of(partitions: &[(&str, i32, Offset)]) -> Result<TopicPartitionList, String> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition, offset) in partitions {
        list.add_partition_offset(topic, *partition, *offset).map_err(|e| e.to_string())?;
    }
    Ok(list)
}

/// What an error number means.
pub fn describe(error: RDKafkaRespErr) -> String {
    // SAFETY: returns a static text for every number.
    unsafe { text(rd::rd_kafka_err2str(error)).into_owned() }
}

/// What an error says, if it is one.
///
/// # Safety
/// `error` is null or an error that is ours to destroy.
unsafe fn outcome(error: *mut rd::rd_kafka_error_t) -> Result<(), String> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: as the caller vouches.
    unsafe {
        let text = text(rd::rd_kafka_error_string(error)).into_owned();
        rd::rd_kafka_error_destroy(error);
        Err(text)
    }
}

fn log_failure(call: &str, error: RDKafkaRespErr) {
    if error as i32 != code::NONE {
        tracing::debug!(reason = describe(error), "kafka {call} failed");
    }
}

/// Messages of one poll.
#[derive(Default)]
pub struct Messages {
    list: Vec<*mut rd::rd_kafka_message_t>,
}

impl Messages {
    pub fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        // SAFETY: every pointer in the list is a message that lives until `clear`.
        self.list.iter().map(|message| Message { raw: unsafe { &**message } })
    }
    pub fn len(&self) -> usize {
        self.list.len()
    }
    pub fn get(&self, index: usize) -> Option<Message<'_>> {
        // SAFETY: as in `iter`.
        self.list.get(index).map(|message| Message { raw: unsafe { &**message } })
    }
    pub fn clear(&mut self) {
        for message in self.list.drain(..) {
            // SAFETY: ours, and gone from the list.
            unsafe { rd::rd_kafka_message_destroy(message) }
        }
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A record, the end of a partition, or an error.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    raw: &'a rd::rd_kafka_message_t,
}

impl<'a> Message<'a> {
    /// One of [`code`], or another of librdkafka's numbers.
    pub fn error(&self) -> i32 {
        // SAFETY: `err` is a C enum, an int; it is read as one because its value may be unknown to us.
        unsafe { std::ptr::addr_of!(self.raw.err).cast::<i32>().read() }
    }
    /// The error in words.
    pub fn error_text(&self) -> String {
        // SAFETY: returns a text that lives as long as the message, or a static one.
        unsafe { text(rd::rd_kafka_message_errstr(self.raw)).into_owned() }
    }
    /// Identity of the topic handle and the partition: the same for all messages of a partition.
    pub fn place(&self) -> (usize, i32) {
        (self.raw.rkt as usize, self.raw.partition)
    }
    pub fn topic(&self) -> Cow<'a, str> {
        if self.raw.rkt.is_null() {
            return Cow::Borrowed("");
        }
        // SAFETY: the message holds its topic.
        unsafe { text(rd::rd_kafka_topic_name(self.raw.rkt)) }
    }
    pub fn partition(&self) -> i32 {
        self.raw.partition
    }
    pub fn offset(&self) -> i64 {
        self.raw.offset
    }
    pub fn size(&self) -> usize {
        self.raw.len + self.raw.key_len
    }
    pub fn key(&self) -> Option<&'a [u8]> {
        // SAFETY: key and length belong together.
        unsafe { bytes(self.raw.key, self.raw.key_len) }
    }
    /// None is a tombstone.
    pub fn value(&self) -> Option<&'a [u8]> {
        // SAFETY: payload and length belong together.
        unsafe { bytes(self.raw.payload, self.raw.len) }
    }
    /// The record without its headers, but for what they say about a changed key.
    pub fn record(&self, index: u32) -> Record<'a> {
        Record {
            partition: index,
            offset: self.offset(),
            timestamp: self.timestamp(),
            key: self.key(),
            value: self.value(),
            rekey: self.rekey(),
        }
    }
    fn timestamp(&self) -> Option<i64> {
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        let millis = unsafe { rd::rd_kafka_message_timestamp(self.raw, &mut kind) };
        (millis >= 0).then(|| millis.saturating_mul(1000))
    }
    fn rekey(&self) -> Rekey {
        let mut rekey = Rekey::None;
        self.each_header(|name, _| match name {
            b"__debezium.newkey" => rekey = Rekey::Delete,
            b"__debezium.oldkey" => rekey = Rekey::Insert,
            _ => {}
        });
        rekey
    }
    /// Calls `f` with name and value of each header.
    pub fn each_header(&self, mut f: impl FnMut(&[u8], Option<&[u8]>)) {
        let mut headers = std::ptr::null_mut();
        // SAFETY: the headers belong to the message; names are terminated, values have their length.
        unsafe {
            let error = rd::rd_kafka_message_headers(self.raw, &mut headers);
            if error as i32 != code::NONE || headers.is_null() {
                return;
            }
            let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
            let mut index = 0;
            while rd::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size) as i32
                == code::NONE
            {
                f(CStr::from_ptr(name).to_bytes(), bytes(value, size));
                index += 1;
            }
        }
    }
}

unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller vouches for start and length.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) })
}

unsafe fn text<'a>(start: *const c_char) -> Cow<'a, str> {
    if start.is_null() {
        return Cow::Borrowed("");
    }
    // SAFETY: the caller vouches for a terminated text.
    unsafe { CStr::from_ptr(start).to_string_lossy() }
}

unsafe extern "C" fn on_error(
    _: *mut rd::rd_kafka_t,
    error: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: the opaque pointer is the client's context; the reason is a terminated text.
    let (context, reason) = unsafe { (&*opaque.cast::<Context>(), text(reason)) };
    context.note(error, &reason);
}

unsafe extern "C" fn on_log(
    _: *const rd::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    let level = match level {
        ..=2 => RDKafkaLogLevel::Critical,
        3 => RDKafkaLogLevel::Error,
        4 => RDKafkaLogLevel::Warning,
        5 => RDKafkaLogLevel::Notice,
        6 => RDKafkaLogLevel::Info,
        _ => RDKafkaLogLevel::Debug,
    };
    // SAFETY: both are terminated texts.
    let (facility, line) = unsafe { (text(facility), text(line)) };
    config::log(level, &facility, &line);
}

unsafe extern "C" fn on_commit(
    _: *mut rd::rd_kafka_t,
    error: RDKafkaRespErr,
    _: *mut rd::rd_kafka_topic_partition_list_t,
    _: *mut c_void,
) {
    log_failure("commit", error);
}
