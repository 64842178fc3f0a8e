//! Generates the messages and the services of `proto/etcd.proto`, without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/etcd.proto");
    let schema = protox::compile(["etcd.proto"], ["proto"])?;
    let mut config = tonic_prost_build::configure().build_transport(false).build_server(false);
    config = config.bytes(".");
    config.compile_fds(schema)?;
    Ok(())
}
