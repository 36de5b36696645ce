//! `#[derived(…)]`.

use crate::metric::{camel, description, names, windows};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Error, FnArg, Ident, ItemFn, LitInt, LitStr, Result, ReturnType, Token, Type, bracketed, parenthesized,
};

/// One base: `board.name(output, …)`.
struct Base {
    metric: String,
    outputs: Vec<Ident>,
}

impl Parse for Base {
    fn parse(input: ParseStream) -> Result<Self> {
        let board: Ident = input.parse()?;
        input.parse::<Token![.]>()?;
        let name: Ident = input.parse()?;
        let list;
        parenthesized!(list in input);
        let outputs = Punctuated::<Ident, Token![,]>::parse_terminated(&list)?.into_iter().collect();
        Ok(Base { metric: format!("{board}.{name}"), outputs })
    }
}

/// What stands in the parentheses of `#[derived(…)]`.
#[derive(Default)]
pub struct Args {
    name: Option<LitStr>,
    title: Option<LitStr>,
    unit: Option<LitStr>,
    owner: Option<LitStr>,
    version: Option<LitStr>,
    deprecated: Option<LitStr>,
    replaced_by: Option<LitStr>,
    bases: Vec<Base>,
    dims: Vec<Ident>,
    dimension_sets: Vec<Vec<Ident>>,
    windows: Vec<LitStr>,
    outputs: Vec<Ident>,
    extra: Vec<(LitStr, LitStr)>,
    meaning_version: Option<LitInt>,
    now: bool,
}

const KEYS: &str = "keys are name, title, unit, owner, version, deprecated, replaced_by, bases, dims, dimension_sets, \
                    windows, now, outputs, extra, meaning_version";

impl Parse for Args {
    fn parse(input: ParseStream) -> Result<Self> {
        let mut args = Args::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            if key == "now" {
                args.now = true;
            } else {
                input.parse::<Token![=]>()?;
                args.value(&key, input)?;
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(args)
    }
}

/// `[…]` with what is parsed by `one`.
fn list<T>(input: ParseStream, one: fn(ParseStream) -> Result<T>) -> Result<Vec<T>> {
    let list;
    bracketed!(list in input);
    let mut all = Vec::new();
    while !list.is_empty() {
        all.push(one(&list)?);
        if !list.is_empty() {
            list.parse::<Token![,]>()?;
        }
    }
    Ok(all)
}

fn pair(input: ParseStream) -> Result<(LitStr, LitStr)> {
    let pair;
    parenthesized!(pair in input);
    let key = pair.parse()?;
    pair.parse::<Token![,]>()?;
    Ok((key, pair.parse()?))
}

impl Args {
    fn value(&mut self, key: &Ident, input: ParseStream) -> Result<()> {
        match key.to_string().as_str() {
            "name" => self.name = Some(input.parse()?),
            "title" => self.title = Some(input.parse()?),
            "unit" => self.unit = Some(input.parse()?),
            "owner" => self.owner = Some(input.parse()?),
            "version" => self.version = Some(input.parse()?),
            "deprecated" => self.deprecated = Some(input.parse()?),
            "replaced_by" => self.replaced_by = Some(input.parse()?),
            "bases" => self.bases = list(input, Base::parse)?,
            "dims" => self.dims = names(input)?,
            "dimension_sets" => self.dimension_sets = list(input, names)?,
            "windows" => self.windows = list(input, |input| input.parse())?,
            "outputs" => self.outputs = names(input)?,
            "extra" => self.extra = list(input, pair)?,
            "meaning_version" => self.meaning_version = Some(input.parse()?),
            _ => return Err(Error::new_spanned(key, KEYS)),
        }
        Ok(())
    }
}

pub fn expand(args: Args, function: ItemFn) -> Result<TokenStream> {
    let called = &function.sig.ident;
    let ReturnType::Type(_, returned) = &function.sig.output else {
        return Err(Error::new_spanned(&function.sig, "a derived metric gives a value: `-> Ratio`"));
    };
    let arguments = function.sig.inputs.iter().map(|input| match input {
        FnArg::Typed(typed) => Ok(&*typed.ty),
        other => Err(Error::new_spanned(other, "a derived metric takes outputs of its bases")),
    });
    let types: Vec<&Type> = arguments.collect::<Result<_>>()?;
    let outputs: usize = args.bases.iter().map(|base| base.outputs.len()).sum();
    if outputs == 0 || outputs != types.len() {
        let text =
            format!("the bases name {outputs} outputs, and the function takes {}: one for each", types.len());
        return Err(Error::new_spanned(&function.sig, text));
    }
    let about = about(&args, &function)?;
    let name = format_ident!("{}", camel(&called.to_string()), span = called.span());
    let (vis, at) = (&function.vis, 0..types.len());
    let doc = format!("The metric made of [`{called}`].");
    Ok(quote! {
        #[inline(always)]
        #function

        #[doc = #doc]
        #[derive(Clone, Copy, Debug)]
        #vis struct #name;

        impl ::weir_metric::derived::Derived for #name {
            type Given = #returned;
            const ABOUT: ::weir_metric::derived::About = #about;
            const TYPES: &'static [::weir_metric::raw::ValueType] =
                &[#(<#types as ::weir_metric::value::FieldType>::TYPE),*];
            #[inline(always)]
            fn compute(columns: &[::weir_metric::value::ColumnView<'_>], row: usize) -> Self::Given {
                #called(#(<#types as ::weir_metric::value::FieldType>::get(&columns[#at], row)),*)
            }
        }
    })
}

fn about(args: &Args, function: &ItemFn) -> Result<TokenStream> {
    let called = &function.sig.ident;
    let text =
        |value: &Option<LitStr>, default: &str| value.as_ref().map_or(default.to_owned(), LitStr::value);
    let option = |value: &Option<LitStr>| match value {
        Some(text) => quote!(::std::option::Option::Some(#text)),
        None => quote!(::std::option::Option::None),
    };
    let strings = |names: &[Ident]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let description = description(function);
    if description.is_empty() {
        return Err(Error::new_spanned(
            called,
            "a doc comment is due: it is the metric's definition for everyone",
        ));
    }
    let name = text(&args.name, &called.to_string());
    let (title, unit, owner) = (text(&args.title, ""), text(&args.unit, "1"), text(&args.owner, ""));
    let version = args.version.as_ref().map_or(quote!(::std::env!("CARGO_PKG_VERSION")), |v| quote!(#v));
    let (deprecated, replaced_by) = (option(&args.deprecated), option(&args.replaced_by));
    let bases = args.bases.iter().map(|base| {
        let (metric, outputs) = (&base.metric, strings(&base.outputs));
        quote!((#metric, &[#(#outputs),*]))
    });
    let sets = args.dimension_sets.iter().map(|set| {
        let set = strings(set);
        quote!(&[#(#set),*])
    });
    let (dims, outputs, windows) =
        (strings(&args.dims), strings(&args.outputs), windows(&args.windows, args.now)?);
    let meaning = args.meaning_version.as_ref().map_or(quote!(1), |v| quote!(#v));
    let extra = args.extra.iter().map(|(key, value)| quote!((#key, #value)));
    Ok(quote! {
        ::weir_metric::derived::About {
            name: #name,
            title: #title,
            unit: #unit,
            description: #description,
            owner: #owner,
            version: #version,
            deprecated: #deprecated,
            replaced_by: #replaced_by,
            bases: &[#(#bases),*],
            dimensions: &[#(#dims),*],
            dimension_sets: &[#(#sets),*],
            windows: &[#(::weir_metric::raw::Window::#windows),*],
            outputs: &[#(#outputs),*],
            meaning_version: #meaning,
            extra: &[#(#extra),*],
        }
    })
}
