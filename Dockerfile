FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package memtide --bin memtide --features kubernetes

FROM debian:bookworm-slim AS runtime
RUN groupadd --gid 10001 memtide \
 && useradd --uid 10001 --gid memtide --no-create-home --home-dir /var/lib/memtide --shell /usr/sbin/nologin memtide \
 && install --directory --owner=memtide --group=memtide --mode=0750 /var/lib/memtide
COPY --from=build /src/target/release/memtide /usr/local/bin/memtide
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/memtide
VOLUME /var/lib/memtide
# Metrics and health are for other containers to read; whatever else the admin HTTP tells and does, it asks the
# token for, which memtide makes in the volume at its first start.
ENV MEMTIDE_DATA_DIR=/var/lib/memtide MEMTIDE_ADMIN=0.0.0.0:9150 MEMTIDE_ADMIN_TOKEN_FILE=/var/lib/memtide/admin.token
EXPOSE 11211 11212 9150
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["memtide", "healthcheck"]
ENTRYPOINT ["memtide"]
CMD ["serve"]
