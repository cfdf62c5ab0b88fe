# Hayloft in a container: not as root, data in /data, health checked on the admin port inside.
#
#   docker build -t hayloft .
#   docker run -p 9000:9000 -v hayloft-data:/data hayloft
FROM node:24-bookworm-slim AS build
WORKDIR /opt/hayloft
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund
COPY tsconfig.json ./
COPY tools ./tools
COPY bin ./bin
COPY src ./src
RUN node tools/build.mjs

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    HAYLOFT_DATA=/data \
    HAYLOFT_LISTEN=0.0.0.0:9000 \
    HAYLOFT_LOG_FORMAT=json
WORKDIR /opt/hayloft
COPY --from=build /opt/hayloft/node_modules ./node_modules
COPY --from=build /opt/hayloft/dist ./dist
COPY package.json ./
COPY bin ./bin
COPY docs ./docs
RUN ln -s /opt/hayloft/bin/hayloft /usr/local/bin/hayloft && install -d -o node -g node -m 0750 /data
USER node
VOLUME /data
EXPOSE 9000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9001/health/ready').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["hayloft"]
CMD ["serve"]
