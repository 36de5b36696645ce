//! The C API of libchdb, as far as it is used, behind types that free what they hold.

use super::Error;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

type RawConnection = *mut *mut c_void;
type RawResult = *mut c_void;
type RawInsert = *mut c_void;

type QueryWithParams = unsafe extern "C" fn(
    *mut c_void,
    *const u8,
    usize,
    *const u8,
    usize,
    *const *const u8,
    *const usize,
    *const *const u8,
    *const usize,
    usize,
) -> RawResult;
type Classify =
    unsafe extern "C" fn(*mut c_void, *const u8, usize, *const u8, usize, *mut Classification) -> c_int;
type Count = unsafe extern "C" fn(RawResult) -> u64;

/// What `chdb_classify_query_n` fills in; `size` tells it how much it may fill.
#[repr(C)]
struct Classification {
    size: u32,
    statements: u32,
    rest: [u32; 2],
}

/// Functions out of the library. Loaded once and never unloaded: the engine's threads live in it.
struct Api {
    connect: unsafe extern "C" fn(c_int, *const *const c_char) -> RawConnection,
    close: unsafe extern "C" fn(RawConnection),
    query: QueryWithParams,
    insert: unsafe extern "C" fn(*mut c_void, *const u8, usize, *const u8, usize) -> RawInsert,
    append: unsafe extern "C" fn(RawInsert, *const u8, usize) -> c_int,
    done: unsafe extern "C" fn(RawInsert) -> RawResult,
    cancel: unsafe extern "C" fn(RawInsert),
    insert_error: unsafe extern "C" fn(RawInsert) -> *const c_char,
    destroy_insert: unsafe extern "C" fn(RawInsert),
    destroy: unsafe extern "C" fn(RawResult),
    error: unsafe extern "C" fn(RawResult) -> *const c_char,
    buffer: unsafe extern "C" fn(RawResult) -> *const u8,
    length: unsafe extern "C" fn(RawResult) -> usize,
    rows: Count,
    read_rows: Count,
    read_bytes: Count,
    written_rows: Count,
    written_bytes: Count,
    classify: Classify,
    shutdown: unsafe extern "C" fn() -> c_int,
}

static API: OnceLock<Api> = OnceLock::new();

impl Api {
    fn load(path: &Path) -> Result<Api, libloading::Error> {
        // SAFETY: the file is libchdb, whose initialisers may run at any time, and every symbol is
        // declared with the type that the library's header gives it.
        unsafe {
            let library: &'static libloading::Library = Box::leak(Box::new(libloading::Library::new(path)?));
            let signals: unsafe extern "C" fn(c_int) = *library.get(b"chdb_set_signal_handlers_enabled\0")?;
            signals(0);
            Ok(Api {
                connect: *library.get(b"chdb_connect\0")?,
                close: *library.get(b"chdb_close_conn\0")?,
                query: *library.get(b"chdb_query_with_params_n\0")?,
                insert: *library.get(b"chdb_stream_insert_n\0")?,
                append: *library.get(b"chdb_stream_append\0")?,
                done: *library.get(b"chdb_stream_done\0")?,
                cancel: *library.get(b"chdb_stream_cancel_insert\0")?,
                insert_error: *library.get(b"chdb_stream_insert_error\0")?,
                destroy_insert: *library.get(b"chdb_destroy_insert_stream\0")?,
                destroy: *library.get(b"chdb_destroy_query_result\0")?,
                error: *library.get(b"chdb_result_error\0")?,
                buffer: *library.get(b"chdb_result_buffer\0")?,
                length: *library.get(b"chdb_result_length\0")?,
                rows: *library.get(b"chdb_result_rows_read\0")?,
                read_rows: *library.get(b"chdb_result_storage_rows_read\0")?,
                read_bytes: *library.get(b"chdb_result_storage_bytes_read\0")?,
                written_rows: *library.get(b"chdb_result_rows_written\0")?,
                written_bytes: *library.get(b"chdb_result_bytes_written\0")?,
                classify: *library.get(b"chdb_classify_query_n\0")?,
                shutdown: *library.get(b"chdb_shutdown\0")?,
            })
        }
    }
}

/// The loaded engine over one data path.
pub struct Engine {
    api: &'static Api,
    path: CString,
    /// Keeps the engine open while no request runs.
    _keep: Connection,
    pub version: String,
    pub time_zone: String,
}

impl Engine {
    pub fn load(library: &Path, data: &Path) -> Result<Engine, Error> {
        let api = match API.get() {
            Some(api) => api,
            None => {
                let api = Api::load(library).map_err(|e| Error::Library(library.into(), e.to_string()))?;
                API.get_or_init(|| api)
            }
        };
        let path = CString::new(format!("--path={}", data.display()))
            .map_err(|_| Error::Engine("the data path holds a zero byte".into()))?;
        let keep = Connection::open(api, &path).map_err(Error::Engine)?;
        let ask = |sql: &str| -> Result<String, Error> {
            let result = keep.query(sql.as_bytes(), "TabSeparated", &[]).map_err(Error::Engine)?;
            Ok(String::from_utf8_lossy(result.as_ref()).trim().to_string())
        };
        let (version, time_zone) = (ask("SELECT version()")?, ask("SELECT timezone()")?);
        Ok(Engine { api, path, _keep: keep, version, time_zone })
    }

    /// A connection of one's own: settings and database stand in it. Takes 0.1 ms.
    pub fn connect(&self) -> Result<Connection, String> {
        Connection::open(self.api, &self.path)
    }

    /// Writes out what is pending and stops the engine's threads. No connection may be open.
    pub fn shutdown(self) {
        let api = self.api;
        drop(self);
        // SAFETY: every connection is closed, so nothing runs in the engine.
        unsafe { (api.shutdown)() };
    }
}

/// A connection, used by one thread at a time.
pub struct Connection {
    api: &'static Api,
    raw: RawConnection,
}

// SAFETY: the library binds a connection to no thread; `&Connection` stays on one thread (no Sync)
// except for `Engine::_keep`, see there.
unsafe impl Send for Connection {}
// SAFETY: after `load` the engine never uses `_keep`; it only holds it.
unsafe impl Sync for Engine {}

impl Connection {
    fn open(api: &'static Api, path: &CStr) -> Result<Connection, String> {
        let arguments = [c"clickhouse".as_ptr(), path.as_ptr()];
        // SAFETY: two zero-terminated texts that live through the call.
        let raw = unsafe { (api.connect)(arguments.len() as c_int, arguments.as_ptr()) };
        if raw.is_null() {
            Err("the engine refused the connection".into())
        } else {
            Ok(Connection { api, raw })
        }
    }

    fn handle(&self) -> *mut c_void {
        // SAFETY: not null (checked in `open`), valid until `drop`.
        unsafe { *self.raw }
    }

    /// Runs one statement; the result is whole when this returns.
    pub fn query(
        &self,
        sql: &[u8],
        format: &str,
        params: &[(String, String)],
    ) -> Result<QueryResult, String> {
        let names: Vec<*const u8> = params.iter().map(|p| p.0.as_ptr()).collect();
        let name_lengths: Vec<usize> = params.iter().map(|p| p.0.len()).collect();
        let values: Vec<*const u8> = params.iter().map(|p| p.1.as_ptr()).collect();
        let value_lengths: Vec<usize> = params.iter().map(|p| p.1.len()).collect();
        // SAFETY: every pointer goes with its length and lives through the call.
        let raw = unsafe {
            (self.api.query)(
                self.handle(),
                sql.as_ptr(),
                sql.len(),
                format.as_ptr(),
                format.len(),
                names.as_ptr(),
                name_lengths.as_ptr(),
                values.as_ptr(),
                value_lengths.as_ptr(),
                params.len(),
            )
        };
        QueryResult { api: self.api, raw }.checked()
    }

    /// Begins an insert whose data follow. `sql` has no FORMAT clause.
    pub fn insert(&self, sql: &[u8], format: &str) -> Result<Insert<'_>, String> {
        // SAFETY: as in `query`.
        let raw = unsafe {
            (self.api.insert)(self.handle(), sql.as_ptr(), sql.len(), format.as_ptr(), format.len())
        };
        let insert = Insert { connection: self, raw };
        match insert.error() {
            Some(error) => Err(error),
            None => Ok(insert),
        }
    }

    /// How many statements a text holds.
    pub fn statements(&self, sql: &[u8]) -> u32 {
        let mut answer = Classification { size: 16, statements: 0, rest: [0; 2] };
        // SAFETY: as in `query`; no default database is given; `answer` is as large as `size` says.
        unsafe { (self.api.classify)(self.handle(), sql.as_ptr(), sql.len(), ptr::null(), 0, &mut answer) };
        answer.statements
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: opened once, closed once; inserts borrow the connection.
        unsafe { (self.api.close)(self.raw) }
    }
}

/// What a statement did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub rows: u64,
    pub read_rows: u64,
    pub read_bytes: u64,
    pub written_rows: u64,
    pub written_bytes: u64,
}

/// A result; its bytes stay in the engine's memory until it is dropped.
pub struct QueryResult {
    api: &'static Api,
    raw: RawResult,
}

// SAFETY: a result is plain memory, owned by whoever holds it.
unsafe impl Send for QueryResult {}

impl QueryResult {
    fn checked(self) -> Result<QueryResult, String> {
        if self.raw.is_null() {
            return Err("the engine gave no result".into());
        }
        // SAFETY: not null; the text lives as long as the result.
        match unsafe { text((self.api.error)(self.raw)) } {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    pub fn stats(&self) -> Stats {
        // SAFETY: `raw` is a result without error.
        unsafe {
            Stats {
                rows: (self.api.rows)(self.raw),
                read_rows: (self.api.read_rows)(self.raw),
                read_bytes: (self.api.read_bytes)(self.raw),
                written_rows: (self.api.written_rows)(self.raw),
                written_bytes: (self.api.written_bytes)(self.raw),
            }
        }
    }
}

impl AsRef<[u8]> for QueryResult {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the buffer is as long as the library says and lives as long as the result.
        unsafe {
            let (buffer, length) = ((self.api.buffer)(self.raw), (self.api.length)(self.raw));
            if buffer.is_null() || length == 0 { &[] } else { std::slice::from_raw_parts(buffer, length) }
        }
    }
}

impl Drop for QueryResult {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            // SAFETY: made once, destroyed once.
            unsafe { (self.api.destroy)(self.raw) }
        }
    }
}

/// A running insert. Dropped without `finish`, it inserts nothing.
pub struct Insert<'a> {
    connection: &'a Connection,
    raw: RawInsert,
}

impl Insert<'_> {
    fn error(&self) -> Option<String> {
        if self.raw.is_null() {
            return Some("the engine did not begin the insert".into());
        }
        // SAFETY: not null; the text lives as long as the insert.
        unsafe { text((self.connection.api.insert_error)(self.raw)) }
    }

    pub fn append(&mut self, data: &[u8]) -> Result<(), String> {
        // SAFETY: the pointer goes with its length; the library copies or consumes the bytes.
        match unsafe { (self.connection.api.append)(self.raw, data.as_ptr(), data.len()) } {
            0 => Ok(()),
            _ => Err(self.error().unwrap_or_else(|| "the engine did not take the data".into())),
        }
    }

    pub fn finish(self) -> Result<Stats, String> {
        let api = self.connection.api;
        // SAFETY: called once, as `self` goes.
        let result = QueryResult { api, raw: unsafe { (api.done)(self.raw) } };
        let stats = result.checked().map(|r| r.stats());
        // SAFETY: after `done` the stream holds nothing but itself.
        unsafe { (api.destroy_insert)(self.raw) };
        std::mem::forget(self);
        stats
    }
}

impl Drop for Insert<'_> {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            // SAFETY: not finished (that forgets `self`), so it is cancelled and destroyed once.
            unsafe {
                (self.connection.api.cancel)(self.raw);
                (self.connection.api.destroy_insert)(self.raw);
            }
        }
    }
}

/// # Safety
/// `raw` is null or a zero-terminated text.
unsafe fn text(raw: *const c_char) -> Option<String> {
    // SAFETY: as the caller says.
    (!raw.is_null()).then(|| unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned())
}
