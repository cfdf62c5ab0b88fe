# Hayloft in a container: slim, not as root, on a read-only file system, with its data in /data.
#
#   docker build -t hayloft .
#   docker run --read-only -p 9000:9000 -v hayloft-data:/data hayloft
#
# For amd64 and arm64: docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/hayloft --push .
FROM node:24-bookworm-slim AS build
WORKDIR /opt/hayloft
COPY package.json package-lock.json tsconfig.json ./
COPY tools ./tools
COPY bin ./bin
COPY console ./console
COPY packages ./packages
RUN node tools/ensure.mjs

FROM node:24-bookworm-slim AS dependencies
WORKDIR /opt/hayloft
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    HAYLOFT_DATA=/data \
    HAYLOFT_LISTEN=0.0.0.0:9000 \
    HAYLOFT_LOG_FORMAT=json
WORKDIR /opt/hayloft
COPY --from=dependencies /opt/hayloft/node_modules ./node_modules
COPY --from=build /opt/hayloft/dist/bundle ./dist/bundle
COPY --from=build /opt/hayloft/dist/web ./dist/web
COPY package.json LICENSE NOTICE ./
COPY bin ./bin
COPY docs ./docs
# Entry points of compose files call `minio server`, at these paths of MinIO's image.
RUN for name in /usr/local/bin/hayloft /usr/bin/minio /usr/bin/docker-entrypoint.sh; do ln -s /opt/hayloft/bin/hayloft "$name"; done \
  && install -d -o node -g node -m 0750 /data
USER node
VOLUME /data
EXPOSE 9000 9001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9001/health/ready').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["hayloft"]
CMD ["server"]
