//! The macros of `weir-metric`; described there.

mod config;
mod derived;
mod metric;
mod row;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Makes a metric of a function. See the crate `weir-metric` for its keys.
#[proc_macro_attribute]
pub fn metric(args: TokenStream, item: TokenStream) -> TokenStream {
    let args = parse_macro_input!(args as metric::Args);
    let function = parse_macro_input!(item as syn::ItemFn);
    metric::expand(args, function).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a derived metric of a function. See `weir_metric::derived` for its keys.
#[proc_macro_attribute]
pub fn derived(args: TokenStream, item: TokenStream) -> TokenStream {
    let args = parse_macro_input!(args as derived::Args);
    let function = parse_macro_input!(item as syn::ItemFn);
    derived::expand(args, function).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct the typed row of a source: `#[row(source = "ticket")]`.
#[proc_macro_derive(Row, attributes(row))]
pub fn derive_row(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as syn::DeriveInput);
    row::expand(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Reads a struct from the operator's settings: a key for each field, with
/// `#[default("as the operator writes it")]`.
#[proc_macro_derive(Config, attributes(default))]
pub fn derive_config(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as syn::DeriveInput);
    config::expand(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}
