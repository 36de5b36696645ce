//! The embedded files are not sources that cargo knows of: a new build of the page needs a new build here.

fn main() {
    println!("cargo::rerun-if-changed=dashboard/dist");
}
