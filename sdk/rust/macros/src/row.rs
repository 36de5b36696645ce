//! `#[derive(Row)]`: reads a struct out of columns. Beside it stands a macro of the struct's name with
//! which `#[metric]` makes a struct of only the fields that a metric uses: what a metric does not name
//! is not decoded for it, and cannot be read by mistake, because it is not there.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Fields, GenericArgument, Ident, LitStr, PathArguments, Result, Type};

/// The field that carries the lifetime of a part of a row.
const MARKER: &str = "__row";

struct Source {
    name: LitStr,
    board: LitStr,
    /// Made by `#[metric]` out of another row.
    part: bool,
}

pub fn expand(item: &DeriveInput) -> Result<TokenStream> {
    let source = source(item)?;
    let Data::Struct(data) = &item.data else {
        return Err(Error::new_spanned(item, "a row is a struct with named fields"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new_spanned(item, "a row is a struct with named fields"));
    };
    let mut names: Vec<&Ident> = Vec::new();
    let mut types = Vec::new();
    for field in &fields.named {
        let Some(name) = &field.ident else { continue };
        if name != MARKER {
            names.push(name);
            types.push(field_type(&field.ty)?);
        }
    }
    let read = reading(item, &source, &names, &types);
    let picker = if source.part { quote!() } else { picker(item, &source, &names, &types) };
    Ok(quote! { #read #picker })
}

fn source(item: &DeriveInput) -> Result<Source> {
    let (mut name, mut board, mut part) = (None::<LitStr>, None::<LitStr>, false);
    for attr in item.attrs.iter().filter(|attr| attr.path().is_ident("row")) {
        attr.parse_nested_meta(|meta| {
            if meta.path.is_ident("source") {
                name = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("board") {
                board = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("part") {
                part = true;
            } else {
                return Err(meta.error(
                    "a row has `source = \"…\"` and, if its metrics' names begin otherwise, `board = \"…\"`",
                ));
            }
            Ok(())
        })?;
    }
    let name = name.ok_or_else(|| Error::new_spanned(&item.ident, "say #[row(source = \"…\")]"))?;
    Ok(Source { board: board.unwrap_or_else(|| name.clone()), name, part })
}

/// The type by its full path, with the lifetime `'a`, so that it can stand in any module.
fn field_type(ty: &Type) -> Result<TokenStream> {
    let wrong = || {
        Error::new_spanned(
            ty,
            "a row's field is one of i64, f64, bool, Time, Text<'a>, or an Option of these",
        )
    };
    let Type::Path(path) = ty else { return Err(wrong()) };
    let last = path.path.segments.last().ok_or_else(wrong)?;
    Ok(match last.ident.to_string().as_str() {
        "i64" => quote!(i64),
        "f64" => quote!(f64),
        "bool" => quote!(bool),
        "Time" => quote!(::weir_metric::value::Time),
        "Text" => quote!(::weir_metric::value::Text<'a>),
        "Option" => {
            let PathArguments::AngleBracketed(args) = &last.arguments else { return Err(wrong()) };
            let Some(GenericArgument::Type(inner)) = args.args.first() else { return Err(wrong()) };
            let inner = field_type(inner)?;
            quote!(::std::option::Option<#inner>)
        }
        _ => return Err(wrong()),
    })
}

fn reading(item: &DeriveInput, source: &Source, names: &[&Ident], types: &[TokenStream]) -> TokenStream {
    let name = &item.ident;
    let generics = item.generics.lifetimes().next().map(|_| quote!(<'a>));
    let elided = item.generics.lifetimes().next().map(|_| quote!(<'_>));
    let marker = source.part.then(|| quote!(, __row: ::std::marker::PhantomData));
    let (source_name, board) = (&source.name, &source.board);
    let texts: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let at = 0..names.len();
    let at2 = 0..names.len();
    let n = names.len();
    let cells = (!source.part).then(|| {
        quote! {
            impl ::weir_metric::row::Cells for #name #elided {
                const SOURCE: &'static str = #source_name;
                fn cell(&self, name: &str) -> ::std::option::Option<::weir_metric::value::Cell<'_>> {
                    match name {
                        #(#texts => ::std::option::Option::Some(
                            ::weir_metric::value::FieldType::cell(&self.#names)
                        ),)*
                        _ => ::std::option::Option::None,
                    }
                }
            }
        }
    });
    quote! {
        const _: () = {
            // A row is often only read for a metric's part of it; this keeps it from counting as dead.
            #[allow(dead_code)]
            #[inline(always)]
            fn read<'a>(columns: &[::weir_metric::value::ColumnView<'a>; #n], row: usize) -> #name #generics {
                #name {
                    #(#names: ::weir_metric::value::FieldType::get(&columns[#at2], row)),*
                    #marker
                }
            }
            impl<'a> ::weir_metric::row::Row<'a> for #name #generics {
                type Columns = [::weir_metric::value::ColumnView<'a>; #n];
                const SOURCE: &'static str = #source_name;
                const BOARD: &'static str = #board;
                fn fields() -> ::std::vec::Vec<::weir_metric::raw::Field> {
                    ::std::vec![#(::weir_metric::row::field::<#types>(#texts)),*]
                }
                fn columns(
                    n: usize,
                    columns: &'a [::weir_metric::raw::Column],
                    texts: &'a [::weir_metric::raw::Dictionary],
                ) -> ::std::result::Result<Self::Columns, ::std::string::String> {
                    ::std::result::Result::Ok([
                        #(::weir_metric::row::column::<#types>(#texts, #at, n, columns, texts)?),*
                    ])
                }
                #[inline(always)]
                fn get(columns: &Self::Columns, row: usize) -> Self {
                    read(columns, row)
                }
            }
        };
        #cells
    }
}

/// The macro that makes a struct of some of the fields. It is given candidates, one after the other,
/// and takes those that are fields.
fn picker(item: &DeriveInput, source: &Source, names: &[&Ident], types: &[TokenStream]) -> TokenStream {
    let name = &item.ident;
    let hidden = format_ident!("__weir_row_{}", name);
    let (source, board) = (&source.name, &source.board);
    quote! {
        #[doc(hidden)]
        #[allow(unused_macros)]
        macro_rules! #hidden {
            (@pick [$($row:tt)*] $name:ident {$($done:tt)*}) => {
                #[doc(hidden)]
                #[derive(::std::clone::Clone, ::std::marker::Copy, ::std::fmt::Debug, ::weir_metric::Row)]
                #[row(source = #source, board = #board, part)]
                pub struct $name<'a> {
                    $($done)*
                    pub __row: ::std::marker::PhantomData<&'a ()>,
                }
            };
            #((@pick [$($row:tt)*] $name:ident {$($done:tt)*} #names $($rest:tt)*) => {
                $($row)*! { @pick [$($row)*] $name {$($done)* pub #names: #types,} $($rest)* }
            };)*
            (@pick [$($row:tt)*] $name:ident {$($done:tt)*} $other:ident $($rest:tt)*) => {
                $($row)*! { @pick [$($row)*] $name {$($done)*} $($rest)* }
            };
        }
        #[doc(hidden)]
        #[allow(unused_imports)]
        pub(crate) use #hidden as #name;
    }
}
