//! A look at a component's outside before anything is compiled: is it one, what does it import, what
//! does it export.

use wasmparser::{Encoding, Parser, Payload};

/// The only import that does something.
const HOST_LOG: &str = "weir:metric/host-log@0.1.0";
/// An import that brings only types.
const TYPES: &str = "weir:metric/types@0.1.0";
const METRIC_API: &str = "weir:metric/metric-api@0.1.0";
const DERIVED_API: &str = "weir:metric/derived-api@0.1.0";

/// Which world of the contract a component is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    Metric,
    Derived,
}

/// Refuses what can be refused without running it. The text goes after the file's name.
pub fn inspect(bytes: &[u8], limit_bytes: usize) -> Result<World, String> {
    if bytes.len() > limit_bytes {
        return Err(format!(
            "has {} bytes, more than the limit of {limit_bytes} (raise `component_bytes` or make it smaller)",
            bytes.len()
        ));
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(
            "is not WebAssembly: it does not begin with the bytes `\\0asm`; push the built `.wasm` file"
                .into(),
        );
    }
    let outside = Outside::read(bytes)?;
    if let Some(import) = outside.imports.iter().find(|name| ![HOST_LOG, TYPES].contains(&name.as_str())) {
        return Err(format!(
            "imports `{import}`, which the host does not offer: a metric may import only `{HOST_LOG}` \
             (a language runtime that wants WASI must be built with stubs)"
        ));
    }
    let exports = |api: &str| outside.exports.iter().any(|name| name == api);
    match (exports(METRIC_API), exports(DERIVED_API)) {
        (true, false) => Ok(World::Metric),
        (false, true) => Ok(World::Derived),
        (true, true) => Err(format!(
            "exports both `{METRIC_API}` and `{DERIVED_API}`: metrics over rows and derived ones go into \
             components of their own"
        )),
        (false, false) => {
            let instead = outside.exports.iter().find(|name| name.starts_with("weir:metric/"));
            let instead = instead.map_or(String::new(), |name| format!("; it exports `{name}`"));
            Err(format!(
                "does not export `{METRIC_API}` or `{DERIVED_API}`{instead}: build it for a world of wit/v0.1"
            ))
        }
    }
}

#[derive(Default)]
struct Outside {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Outside {
    /// Reads the outermost component and walks over all that is nested in it, so that a file cut
    /// anywhere is noticed.
    fn read(bytes: &[u8]) -> Result<Outside, String> {
        let mut outside = Outside::default();
        let mut depth = 0usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(broken)? {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err("is a core module, not a component: run `wasm-tools component new` on it, \
                                or build it with the SDK's build command"
                        .into());
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        outside.imports.push(import.map_err(broken)?.name.full_name().to_string());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        outside.exports.push(export.map_err(broken)?.name.full_name().to_string());
                    }
                }
                _ => {}
            }
        }
        Ok(outside)
    }
}

fn broken(error: wasmparser::BinaryReaderError) -> String {
    format!("is truncated or damaged: {} at byte {}; build or copy it again", error.message(), error.offset())
}
