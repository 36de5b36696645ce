//! One child process with its output in a file.

use crate::wait;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Lines of a log shown in an error.
const TAIL_LINES: usize = 25;

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with output appended to `log`. The child gets a process group of its own, so
    /// that ctrl-c reaches only us and children end in order; if we die, the kernel kills it.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Process> {
        let out = OpenOptions::new().create(true).append(true).open(log);
        let out = out.with_context(|| format!("open {}", log.display()))?;
        let err = out.try_clone()?;
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        die_with_parent(&mut command);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("start {name} ({program})"))?;
        Ok(Process { name: name.to_owned(), child, log: log.to_owned(), ended: None })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    /// Waits until `ready`; an early end or a time-out shows the end of the log.
    pub fn wait_ready(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut() -> Result<bool, String>,
    ) -> Result<()> {
        let what = format!("{} is ready", self.name);
        let outcome = wait::until(&what, limit, || {
            if let Ok(Some(status)) = self.ended() {
                return Ok(Some(Some(status)));
            }
            Ok(ready()?.then_some(None))
        });
        match outcome {
            Ok(None) => Ok(()),
            Ok(Some(status)) => bail!("{} ended early ({status}); {}", self.name, self.tail()),
            Err(error) => bail!("{error:#}; {}", self.tail()),
        }
    }

    /// Waits for the end.
    pub fn wait_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("end of {}", self.name);
        let outcome = wait::until(&what, limit, || self.ended().map_err(|e| e.to_string()));
        outcome.map_err(|error| anyhow::anyhow!("{error:#}; {}", self.tail()))
    }

    /// An error if it has ended by itself.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.ended()? {
            Some(status) => bail!("{} ended by itself ({status}); {}", self.name, self.tail()),
            None => Ok(()),
        }
    }

    /// SIGTERM, then waits for the end; SIGKILL when `patience` is over, which is an error.
    pub fn stop(&mut self, patience: Duration) -> Result<ExitStatus> {
        if self.ended()?.is_none() {
            self.signal(libc::SIGTERM);
        }
        let end = std::time::Instant::now() + patience;
        while std::time::Instant::now() < end {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        bail!("{} did not stop within {} s and was killed; {}", self.name, patience.as_secs(), self.tail())
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Ok(None) = self.ended() {
            self.signal(libc::SIGKILL);
            self.ended = self.child.wait().ok();
        }
    }

    /// Stops the process where it stands (SIGSTOP); it answers nothing until `resume`.
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
    }

    pub fn resume(&self) {
        self.signal(libc::SIGCONT);
    }

    /// Lets no file of the process grow beyond so many bytes, as a full disk would; None = any size
    /// again. The process must have been started through [`survive_full_disk`].
    pub fn limit_file_size(&self, bytes: Option<u64>) -> Result<()> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        let pid = self.child.id() as libc::pid_t;
        // SAFETY: prlimit(2) reads and fills the structs given; the child is not reaped, so its pid is its own.
        let read = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, std::ptr::null(), &mut limit) };
        limit.rlim_cur = bytes.unwrap_or(limit.rlim_max);
        // SAFETY: as above.
        let set = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
        if read != 0 || set != 0 {
            return Err(std::io::Error::last_os_error()).context("limit the size of files");
        }
        Ok(())
    }

    /// Memory that is resident, in kB.
    pub fn resident_kb(&self) -> Result<u64> {
        self.memory_kb("VmRSS")
    }

    /// The most that was resident since it was started, in kB.
    pub fn most_resident_kb(&self) -> Result<u64> {
        self.memory_kb("VmHWM")
    }

    /// CPU time it has used since it was started, of all its threads, user and system, in seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(&format!("/proc/{}/stat", self.pid()))
    }

    /// The same by name of the thread, of those that still run.
    pub fn cpu_by_thread(&self) -> Result<BTreeMap<String, f64>> {
        let mut used = BTreeMap::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.pid()))?.flatten() {
            let dir = task.path();
            // A thread may end while we look.
            let Ok(name) = std::fs::read_to_string(dir.join("comm")) else { continue };
            let seconds = cpu_seconds(&dir.join("stat").to_string_lossy()).unwrap_or(0.0);
            *used.entry(name.trim().to_owned()).or_default() += seconds;
        }
        Ok(used)
    }

    fn memory_kb(&self, what: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid());
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
        let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        number.with_context(|| format!("{path} tells no {what}"))
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: kill(2) takes plain numbers. The child is not reaped yet, so its pid is still its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }

    /// The whole log so far.
    pub fn log_text(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines of the log, for an error text.
    pub fn tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        format!("end of {}:\n{}", self.log.display(), lines[from..].join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Of a `stat` file of proc(5): the name, in brackets, may hold anything; utime and stime are fields 14 and 15.
fn cpu_seconds(path: &str) -> Result<f64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let fields = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).into_iter().flatten();
    let ticks: Vec<u64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    let [user, system] = ticks[..] else { bail!("{path} tells no CPU time") };
    // SAFETY: sysconf(3) takes a plain number.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Ok((user + system) as f64 / per_second as f64)
}

/// Runs a command to its end with output in `log`; a failure shows the end of it.
pub fn run(name: &str, command: Command, log: &Path, limit: Duration) -> Result<()> {
    File::create(log).with_context(|| format!("create {}", log.display()))?;
    let mut process = Process::start(name, command, log)?;
    let status = process.wait_end(limit)?;
    if !status.success() {
        bail!("{name} failed ({status}); {}", process.tail());
    }
    Ok(())
}

/// Lets writes over a limit of size fail in the child, instead of ending it by SIGXFSZ.
pub fn survive_full_disk(command: &mut Command) {
    // SAFETY: signal(2) is async-signal-safe and touches nothing of ours between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::signal(libc::SIGXFSZ, libc::SIG_IGN) {
            libc::SIG_ERR => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
}

/// Asks the kernel to kill the child when the thread that starts it dies.
pub fn die_with_parent(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe and touches nothing of ours between fork and exec.
    unsafe {
        command.pre_exec(|| {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        });
    }
}
