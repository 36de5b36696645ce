//! Does a metric fit the declared sources?

use std::sync::Arc;
use weir_types::contract::MetricInfo;
use weir_types::schema::SourceDecl;

/// The error names metric, source and field.
pub fn fit(info: &MetricInfo, sources: &[Arc<SourceDecl>]) -> Result<(), String> {
    for input in &info.inputs {
        let source = sources.iter().find(|s| s.name == input.source).ok_or_else(|| {
            let known: Vec<&str> = sources.iter().map(|s| s.name.as_str()).collect();
            format!(
                "metric {} reads source {}, which is not declared (declared are: {})",
                info.name,
                input.source,
                known.join(", ")
            )
        })?;
        for field in &input.fields {
            let at = source.column(&field.name).ok_or_else(|| {
                format!(
                    "metric {} asks for field {}.{}, which the source does not have: declare it, or mend the metric",
                    info.name, input.source, field.name
                )
            })?;
            let column = &source.columns[at];
            if column.ty.value_type() != field.value_type {
                return Err(format!(
                    "metric {} reads field {}.{} as {:?}, but it is declared as {:?}",
                    info.name,
                    input.source,
                    field.name,
                    field.value_type,
                    column.ty.value_type()
                ));
            }
            if column.nullable && !field.nullable {
                return Err(format!(
                    "metric {} reads field {}.{} as never null, but it is declared nullable",
                    info.name, input.source, field.name
                ));
            }
        }
        for dimension in &info.dimensions {
            let computed = info.computed_dimensions.iter().any(|c| c.name == *dimension);
            if !computed && source.column(dimension).is_none() {
                return Err(format!(
                    "metric {} has dimension {dimension}, which is neither computed nor a field of source {}",
                    info.name, input.source
                ));
            }
        }
    }
    Ok(())
}
