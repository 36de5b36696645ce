//! `#[derive(Config)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, LitStr, Result};

pub fn expand(item: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &item.data else {
        return Err(Error::new_spanned(item, "settings are a struct with named fields"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new_spanned(item, "settings are a struct with named fields"));
    };
    let mut read = Vec::new();
    for field in &fields.named {
        let Some(name) = &field.ident else { continue };
        let Some(default) = field.attrs.iter().find(|attr| attr.path().is_ident("default")) else {
            return Err(Error::new_spanned(field, "say #[default(\"…\")], as the operator would write it"));
        };
        let default: LitStr = default.parse_args()?;
        let key = name.to_string();
        read.push(quote! { #name: settings.get(#key, #default)? });
    }
    let name = &item.ident;
    Ok(quote! {
        impl ::weir_metric::config::Config for #name {
            fn read(
                settings: &::weir_metric::config::Settings<'_>,
            ) -> ::std::result::Result<Self, ::std::string::String> {
                ::std::result::Result::Ok(#name { #(#read),* })
            }
        }
    })
}
