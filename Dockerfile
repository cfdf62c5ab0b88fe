# Hayloft in a container: an executable without Node on a few files of Debian (deploy/image), on a read-only file system, with its
# data in /data. The program never runs as root: deploy/image/hayloft says how.
#
#   docker build -t hayloft .
#   docker run --read-only -p 9000:9000 -v hayloft-data:/data hayloft
#
# For amd64 and arm64: docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/hayloft --push .
# With executables of a release, which have a code cache: --build-context executables=dist/release
ARG NODE=docker.io/library/node:24-bookworm-slim
ARG DEBIAN=docker.io/library/debian:bookworm-slim

FROM --platform=$BUILDPLATFORM ${NODE} AS build
ARG TARGETARCH
WORKDIR /opt/hayloft
COPY package.json package-lock.json tsconfig.json LICENSE ./
COPY tools ./tools
COPY bin ./bin
COPY console ./console
COPY docs ./docs
COPY packages ./packages
RUN node tools/executables.mjs /executables "linux-$(echo "${TARGETARCH:-$(dpkg --print-architecture)}" | sed s/amd64/x64/)"

FROM scratch AS executables
COPY --from=build /executables /

FROM ${DEBIAN} AS tree
ARG TARGETARCH
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
  bash busybox-static ca-certificates curl libstdc++6 util-linux
COPY deploy/image /image
COPY --from=executables / /executables
RUN sh /image/make-tree.sh /tree "/executables/hayloft-linux-$(echo "${TARGETARCH:-$(dpkg --print-architecture)}" | sed s/amd64/x64/)"

FROM scratch
COPY --from=tree /tree /
COPY LICENSE NOTICE /usr/share/doc/hayloft/
ENV PATH=/usr/local/bin:/usr/bin \
    HAYLOFT_DATA=/data \
    HAYLOFT_LISTEN=0.0.0.0:9000 \
    HAYLOFT_LOG_FORMAT=json
VOLUME /data
EXPOSE 9000 9001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["hayloft", "health"]
ENTRYPOINT ["hayloft"]
CMD ["server"]
