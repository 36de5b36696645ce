//! The components that `cargo xtask languages` and `cargo xtask plugins` have built.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use weir_languages::{run, sources};
use weir_plugin::{Sandbox, SandboxOptions};
use weir_types::contract::MetricFactory;
use weir_types::ports::Loader;
use weir_types::schema::SourceDecl;

pub const METRICS: [&str; 4] =
    ["agent.state_time", "ticket.backlog", "ticket.created", "ticket.first_reply_time"];
const LANGUAGES: [&str; 4] = ["c", "go", "javascript", "python"];
/// Components in Rust that have them.
const RUST: [&str; 2] = ["ticket.wasm", "team.wasm"];

fn folder(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: {variable} names no folder of built components (cargo xtask languages sets it)");
    }
    folder
}

/// The components by language; those in Rust are first. None where this is skipped.
pub fn languages() -> Option<Vec<(&'static str, Vec<run::Component>)>> {
    let (ours, others) = (folder("WEIR_COMPONENTS")?, folder("WEIR_LANGUAGES")?);
    let there = RUST.iter().filter(|file| ours.join(file).exists());
    let rust = there.map(|file| run::component(&ours, file).unwrap()).collect();
    let other = |name| (name, vec![run::component(&others, &format!("{name}.wasm")).unwrap()]);
    let built = LANGUAGES.into_iter().filter(|name| others.join(format!("{name}.wasm")).exists());
    let all: Vec<_> = std::iter::once(("rust", rust)).chain(built.map(other)).collect();
    assert!(all.len() > 1, "{} holds no component", others.display());
    Some(all)
}

/// Lets only the four metrics through. The components in Rust carry more, over more tables than the stream has, and
/// have tests of their own; the others must pass every check of a load.
pub struct Four(Sandbox);

impl Four {
    fn only(metrics: Vec<Arc<dyn MetricFactory>>) -> Vec<Arc<dyn MetricFactory>> {
        metrics.into_iter().filter(|metric| METRICS.contains(&metric.info().name.as_str())).collect()
    }
}

impl Loader for Four {
    fn load(
        &self,
        origin: &str,
        component: &[u8],
        sources: &[Arc<SourceDecl>],
    ) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        match RUST.contains(&origin) {
            true => self.reload(origin, component),
            false => self.0.load(origin, component, sources).map(Four::only),
        }
    }
    fn reload(&self, origin: &str, component: &[u8]) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        self.0.reload(origin, component).map(Four::only)
    }
}

/// Compiling a component with a language's runtime takes seconds: all tests share what was compiled.
pub fn loader() -> Four {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    let cache = CACHE.get_or_init(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled"));
    let options = SandboxOptions { cache_dir: Some(cache.clone()), ..SandboxOptions::default() };
    Four(Sandbox::new(options).unwrap())
}

/// The four metrics of a language's components, having passed every check of a load.
pub fn load(components: &[run::Component]) -> BTreeMap<String, Arc<dyn MetricFactory>> {
    let loader = loader();
    let load = |(file, bytes): &run::Component| loader.load(file, bytes, &sources::sources()).unwrap();
    components.iter().flat_map(load).map(|metric| (metric.info().name.clone(), metric)).collect()
}
