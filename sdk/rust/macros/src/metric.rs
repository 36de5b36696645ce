//! `#[metric(…)]`.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Error, Expr, FnArg, GenericArgument, Ident, ItemFn, Lit, LitInt, LitStr, Path, PathArguments, Result,
    ReturnType, Token, Type, bracketed,
};

/// What stands in the parentheses of `#[metric(…)]`.
#[derive(Default)]
pub struct Args {
    name: Option<LitStr>,
    title: Option<LitStr>,
    unit: Option<LitStr>,
    owner: Option<LitStr>,
    version: Option<LitStr>,
    deprecated: Option<LitStr>,
    replaced_by: Option<LitStr>,
    dims: Vec<Ident>,
    dimension_sets: Vec<Vec<Ident>>,
    watch: Vec<Ident>,
    fields: Vec<Ident>,
    values: Vec<Ident>,
    windows: Vec<LitStr>,
    accumulator: Option<Expr>,
    meaning_version: Option<LitInt>,
    time_varying: bool,
    all_rows: bool,
    board: Option<LitStr>,
    correct_for: Option<LitStr>,
    table: bool,
}

const KEYS: &str = "keys are name, title, unit, owner, version, deprecated, replaced_by, dims, dimension_sets, \
                    watch, fields, values, windows, accumulator, meaning_version, time_varying, all_rows, \
                    board, correct_for, table";

impl Parse for Args {
    fn parse(input: ParseStream) -> Result<Self> {
        let mut args = Args::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            match key.to_string().as_str() {
                "time_varying" => args.time_varying = true,
                "all_rows" => args.all_rows = true,
                "table" => args.table = true,
                _ => {
                    input.parse::<Token![=]>()?;
                    args.value(&key, input)?;
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(args)
    }
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
            "dims" => self.dims = names(input)?,
            "watch" => self.watch = names(input)?,
            "fields" => self.fields = names(input)?,
            "values" => self.values = names(input)?,
            "dimension_sets" => {
                let sets;
                bracketed!(sets in input);
                while !sets.is_empty() {
                    self.dimension_sets.push(names(&sets)?);
                    if !sets.is_empty() {
                        sets.parse::<Token![,]>()?;
                    }
                }
            }
            "windows" => {
                let list;
                bracketed!(list in input);
                self.windows =
                    Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?.into_iter().collect();
            }
            "accumulator" => self.accumulator = Some(input.parse()?),
            "board" => self.board = Some(input.parse()?),
            "correct_for" => self.correct_for = Some(input.parse()?),
            "meaning_version" => self.meaning_version = Some(input.parse()?),
            _ => return Err(Error::new_spanned(key, KEYS)),
        }
        Ok(())
    }
}

/// `[queue_id, "assignee_id"]`: names, quoted or not.
pub fn names(input: ParseStream) -> Result<Vec<Ident>> {
    let list;
    bracketed!(list in input);
    let mut names = Vec::new();
    while !list.is_empty() {
        names.push(match list.parse::<Option<Lit>>()? {
            None => list.parse()?,
            Some(Lit::Str(text)) => text.parse::<Ident>()?,
            Some(other) => return Err(Error::new_spanned(other, "a field's name is due here")),
        });
        if !list.is_empty() {
            list.parse::<Token![,]>()?;
        }
    }
    Ok(names)
}

/// What the function's first argument says.
struct Shape {
    /// The row's type without its lifetime.
    row: Path,
    /// `&Ticket` instead of `&Change<Ticket>`.
    now: bool,
}

pub fn expand(args: Args, mut function: ItemFn) -> Result<TokenStream> {
    let shape = shape(&function)?;
    let ReturnType::Type(_, returned) = function.sig.output.clone() else {
        return Err(Error::new_spanned(&function.sig, "a metric gives samples: `-> Option<Sample>`"));
    };
    let config = config(&function)?;
    let called = function.sig.ident.clone();
    let name = format_ident!("{}", camel(&called.to_string()), span = called.span());
    let row = format_ident!("{}Row", name);
    replace_row(&mut function, &row, shape.now);

    let mut candidates = args.dims.clone();
    candidates.extend(args.watch.iter().cloned());
    candidates.extend(args.fields.iter().cloned());
    let declared = candidates.clone();
    accessed(function.block.to_token_stream(), &mut candidates);
    let mut seen = std::collections::BTreeSet::new();
    candidates.retain(|field| seen.insert(field.to_string()));

    let about = about(&args, &function, &called, shape.now)?;
    let accumulator = args.accumulator.as_ref().map_or(quote!(::weir_metric::acc::Count), |a| quote!(#a));
    let config_type = config.as_ref().map_or(quote!(()), |ty| quote!(#ty));
    let config_arg = config.is_some().then(|| quote!(, config));
    let nothing = quote!(::std::option::Option::<::weir_metric::sample::Sample<Self::Value>>::None);
    let call = quote!(#called(image #config_arg));
    let (of_change, of_image) = if shape.now { (nothing, call) } else { (call, nothing) };
    let (vis, source) = (&function.vis, &shape.row);
    let doc = format!("The metric made of [`{called}`].");
    Ok(quote! {
        #[inline(always)]
        #function

        #source! { @pick [#source] #row {} #(#candidates)* }

        // Dimensions, watched and extra fields must be fields of the row.
        const _: fn(&#row<'_>) = |row| { #(let _ = &row.#declared;)* };

        #[doc = #doc]
        #[derive(Clone, Copy, Debug)]
        #vis struct #name;

        #[allow(unused_variables)]
        impl ::weir_metric::metric::Metric for #name {
            type Row<'a> = #row<'a>;
            type Config = #config_type;
            type Value = <#returned as ::weir_metric::sample::Observed>::Value;
            const ABOUT: ::weir_metric::metric::About = #about;
            fn accumulator() -> impl ::weir_metric::acc::Accumulator<Self::Value> {
                #accumulator
            }
            #[inline(always)]
            fn observe(
                image: &::weir_metric::row::Change<Self::Row<'_>>,
                config: &Self::Config,
            ) -> impl ::weir_metric::sample::Observed<Value = Self::Value> {
                #of_change
            }
            #[inline(always)]
            fn observe_image(
                image: &Self::Row<'_>,
                config: &Self::Config,
            ) -> impl ::weir_metric::sample::Observed<Value = Self::Value> {
                #of_image
            }
        }
    })
}

const FIRST: &str = "the first argument is `&Change<Row>`, or `&Row` for a metric over current values";

fn shape(function: &ItemFn) -> Result<Shape> {
    let Some(FnArg::Typed(first)) = function.sig.inputs.first() else {
        return Err(Error::new_spanned(&function.sig, FIRST));
    };
    let wrong = || Error::new_spanned(&first.ty, FIRST);
    let Type::Reference(reference) = &*first.ty else { return Err(wrong()) };
    let Type::Path(path) = &*reference.elem else { return Err(wrong()) };
    let mut row = path.path.clone();
    let Some(last) = row.segments.last_mut() else { return Err(wrong()) };
    let mut now = true;
    if last.ident == "Change" {
        now = false;
        let PathArguments::AngleBracketed(of) = &last.arguments else { return Err(wrong()) };
        let Some(GenericArgument::Type(Type::Path(of))) = of.args.first() else { return Err(wrong()) };
        row = of.path.clone();
    }
    if let Some(last) = row.segments.last_mut() {
        last.arguments = PathArguments::None;
    }
    Ok(Shape { row, now })
}

/// The type behind the second argument, `&Settings`.
fn config(function: &ItemFn) -> Result<Option<Type>> {
    if function.sig.inputs.len() > 2 {
        return Err(Error::new_spanned(
            &function.sig.inputs,
            "a metric takes a change or row, and its settings",
        ));
    }
    match function.sig.inputs.iter().nth(1) {
        None => Ok(None),
        Some(FnArg::Typed(second)) => match &*second.ty {
            Type::Reference(reference) => Ok(Some((*reference.elem).clone())),
            other => Err(Error::new_spanned(other, "the second argument is `&Settings`")),
        },
        Some(other) => Err(Error::new_spanned(other, "the second argument is `&Settings`")),
    }
}

fn replace_row(function: &mut ItemFn, row: &Ident, now: bool) {
    let ty: Type = if now {
        syn::parse_quote!(&#row<'_>)
    } else {
        syn::parse_quote!(&::weir_metric::row::Change<#row<'_>>)
    };
    if let Some(FnArg::Typed(first)) = function.sig.inputs.first_mut() {
        *first.ty = ty;
    }
}

/// Names that stand after a dot and are not called: the fields that the function may read. Taken from
/// the tokens, because they may stand inside other macros.
fn accessed(tokens: TokenStream, found: &mut Vec<Ident>) {
    let mut after_dot = false;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                accessed(group.stream(), found);
                after_dot = false;
            }
            TokenTree::Punct(punct) => after_dot = punct.as_char() == '.',
            TokenTree::Ident(ident) => {
                let next = tokens.peek();
                let called =
                    matches!(next, Some(TokenTree::Group(g)) if g.delimiter() == Delimiter::Parenthesis);
                if after_dot && !called && ident != "await" {
                    found.push(ident);
                }
                after_dot = false;
            }
            TokenTree::Literal(_) => after_dot = false,
        }
    }
}

fn about(args: &Args, function: &ItemFn, called: &Ident, now: bool) -> Result<TokenStream> {
    let text =
        |value: &Option<LitStr>, default: &str| value.as_ref().map_or(default.to_owned(), LitStr::value);
    let option = |value: &Option<LitStr>| match value {
        Some(text) => quote!(::std::option::Option::Some(#text)),
        None => quote!(::std::option::Option::None),
    };
    let list = |names: &[Ident]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let name = text(&args.name, &called.to_string());
    let title = text(&args.title, "");
    let unit = text(&args.unit, "1");
    let owner = text(&args.owner, "");
    let version = args.version.as_ref().map_or(quote!(::std::env!("CARGO_PKG_VERSION")), |v| quote!(#v));
    let description = description(function);
    if description.is_empty() {
        return Err(Error::new_spanned(
            called,
            "a doc comment is due: it is the metric's definition for everyone",
        ));
    }
    let (deprecated, replaced_by) = (option(&args.deprecated), option(&args.replaced_by));
    let (watch, dims, values) = (list(&args.watch), list(&args.dims), list(&args.values));
    let sets = args.dimension_sets.iter().map(|set| {
        let set = list(set);
        quote!(&[#(#set),*])
    });
    let windows = windows(&args.windows, now)?;
    let time_varying = args.time_varying;
    let rows = if args.all_rows { quote!(All) } else { quote!(Live) };
    let extra = extra(args).into_iter().map(|(key, value)| quote!((#key, #value)));
    let meaning = args.meaning_version.as_ref().map_or(quote!(1), |v| quote!(#v));
    Ok(quote! {
        ::weir_metric::metric::About {
            name: #name,
            title: #title,
            unit: #unit,
            description: #description,
            owner: #owner,
            version: #version,
            deprecated: #deprecated,
            replaced_by: #replaced_by,
            watches: &[#(#watch),*],
            dimensions: &[#(#dims),*],
            dimension_sets: &[#(#sets),*],
            windows: &[#(::weir_metric::raw::Window::#windows),*],
            values: &[#(#values),*],
            time_varying: #time_varying,
            rows: ::weir_metric::raw::RowMemory::#rows,
            meaning_version: #meaning,
            extra: &[#(#extra),*],
        }
    })
}

/// What the host and the dashboard look up under `extra`.
fn extra(args: &Args) -> Vec<(&'static str, String)> {
    let texts = [("board", &args.board), ("correct_for", &args.correct_for)];
    let given = |(key, text): (&'static str, &Option<LitStr>)| Some((key, text.as_ref()?.value()));
    let form = args.table.then(|| ("form", "table".to_owned()));
    texts.into_iter().filter_map(given).chain(form).collect()
}

/// The doc comment as one line.
pub fn description(function: &ItemFn) -> String {
    let mut lines = Vec::new();
    for attr in function.attrs.iter().filter(|attr| attr.path().is_ident("doc")) {
        if let syn::Meta::NameValue(meta) = &attr.meta
            && let Expr::Lit(value) = &meta.value
            && let Lit::Str(text) = &value.lit
        {
            lines.push(text.value().trim().to_owned());
        }
    }
    lines.join(" ").trim().to_owned()
}

/// The windows of a metric: those that are named, else the usual ones.
pub fn windows(named: &[LitStr], now: bool) -> Result<Vec<TokenStream>> {
    if now {
        return match named.first() {
            Some(first) => Err(Error::new_spanned(first, "a metric over current values has no windows")),
            None => Ok(vec![quote!(Now)]),
        };
    }
    if named.is_empty() {
        return ["1m", "15m", "1h", "day"].iter().map(|text| window(text).ok_or_else(unreadable)).collect();
    }
    let read = |text: &LitStr| window(&text.value()).ok_or_else(|| Error::new(text.span(), unreadable()));
    named.iter().map(read).collect()
}

fn unreadable() -> Error {
    Error::new(
        proc_macro2::Span::call_site(),
        "windows are written as \"1m\", \"15m\", \"1h\", \"day\", \"5m/10s\" (sliding), \"session-60s\"",
    )
}

fn window(text: &str) -> Option<TokenStream> {
    if text == "day" {
        return Some(quote!(Day));
    }
    if let Some(gap) = text.strip_prefix("session-") {
        let gap = length(gap)?;
        return Some(quote!(Session(#gap)));
    }
    if let Some((size, step)) = text.split_once('/') {
        let (size, step) = (length(size)?, length(step)?);
        return (size % step == 0).then(|| quote!(Sliding { size: #size, step: #step }));
    }
    let length = length(text)?;
    Some(quote!(Tumbling(#length)))
}

/// Microseconds of `90s`, `15m`, `1h`.
fn length(text: &str) -> Option<i64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let number: i64 = number.parse().ok().filter(|n| *n > 0)?;
    let unit = match unit {
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

pub fn camel(snake: &str) -> String {
    let mut camel = String::new();
    for word in snake.split('_') {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}
