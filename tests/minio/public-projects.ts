/**
 * How public projects call MinIO, prepare it, and use it first, in our words: one row for each, taken from their compose files,
 * charts, scripts and sources. Names of buckets differ, because one server serves them all.
 */

/** The first requests of an application; `uses.ts` has them. */
export type Use =
  | "creates"
  | "stores"
  | "lists"
  | "lists as in 2006"
  | "uploads parts"
  | "copies parts"
  | "copies"
  | "removes many"
  | "writes once"
  | "lets browsers put"
  | "lets browsers post"
  | "sends public-read"
  | "sets a policy"
  | "keeps versions"
  | "names the bucket in the host"
  | "asks for temporary keys"

export interface PublicProject {
  readonly name: string
  /** The arguments of the program or image, and its variables. */
  readonly command: string
  readonly env: Readonly<Record<string, string>>
  readonly folder: string
  readonly key: string
  /** Run by sh with mc, SERVER, ROOT and PASSWORD. */
  readonly prepares?: string
  /** Buckets that are there then; applications make their own ones by themselves. */
  readonly buckets: readonly string[]
  /** Buckets, or prefixes in them, that everybody may read then. */
  readonly isOpen?: readonly string[]
  /** Keys that mc makes, the bucket where they may write, and one where they may not. */
  readonly keys?: readonly {
    readonly key: string
    readonly secret: string
    readonly bucket: string
    readonly refusedIn?: string
  }[]
  readonly uses: readonly Use[]
}

const rootOf = (user: string, password: string) => ({ MINIO_ROOT_USER: user, MINIO_ROOT_PASSWORD: password })
const olderRootOf = (user: string, password: string) => ({ MINIO_ACCESS_KEY: user, MINIO_SECRET_KEY: password })
const ADMIN = rootOf("minioadmin", "minioadmin")

export const PUBLIC_PROJECTS: readonly PublicProject[] = [
  {
    name: "Plane: another data folder and console port, buckets by mc in its old words",
    command: 'server /export --console-address ":9090"',
    env: rootOf("access-key", "secret-key"),
    folder: "/export",
    key: "access-key",
    prepares: `mc config host add plane "$SERVER" "$ROOT" "$PASSWORD"; mc mb plane/plane-uploads; mc anonymous set download plane/plane-uploads; exit 0`,
    buckets: ["plane-uploads"],
    isOpen: ["plane-uploads"],
    uses: ["lets browsers post", "lets browsers put"],
  },
  {
    name: "Milvus: the older names of the key",
    command: 'minio server /minio_data --console-address ":9001"',
    env: olderRootOf("minioadmin", "minioadmin"),
    folder: "/minio_data",
    key: "minioadmin",
    buckets: [],
    uses: ["creates", "stores", "lists", "removes many"],
  },
  {
    name: "RAGFlow: the options before the folder",
    command: 'server --console-address ":9001" /data',
    env: rootOf("rag_flow", "infini_rag_flow"),
    folder: "/data",
    key: "rag_flow",
    buckets: [],
    uses: ["creates", "stores", "lets browsers put"],
  },
  {
    name: "Supabase Storage",
    command: 'server --console-address ":9001" /data',
    env: rootOf("supa-storage", "secret1234"),
    folder: "/data",
    key: "supa-storage",
    prepares: `mc alias set supa "$SERVER" "$ROOT" "$PASSWORD"; mc mb supa/stub; exit 0`,
    buckets: ["stub"],
    uses: ["stores", "copies", "uploads parts", "copies parts", "lists"],
  },
  {
    name: "Mimir: quiet",
    command: "server --quiet /data",
    env: rootOf("mimir", "supersecret"),
    folder: "/data",
    key: "mimir",
    buckets: [],
    uses: ["creates", "lists", "stores"],
  },
  {
    name: "Tempo",
    command: "server /data --console-address ':9001'",
    env: olderRootOf("tempo", "supersecret"),
    folder: "/data",
    key: "tempo",
    buckets: [],
    uses: ["creates", "stores", "uploads parts"],
  },
  {
    name: "Cortex and Thanos, end to end: without a console",
    command: "server --quiet /data",
    env: { ...olderRootOf("Cheescake", "supersecret"), MINIO_BROWSER: "off", ENABLE_HTTPS: "0" },
    folder: "/data",
    key: "Cheescake",
    buckets: [],
    uses: ["creates", "lists", "removes many"],
  },
  {
    name: "Iceberg with Spark: a domain, and a warehouse that is emptied, made and opened",
    command: "server /data --console-address :9001",
    env: { ...rootOf("admin", "password"), MINIO_DOMAIN: "minio" },
    folder: "/data",
    key: "admin",
    prepares: `until mc config host add minio "$SERVER" "$ROOT" "$PASSWORD"; do echo waiting && sleep 1; done
mc rm -r --force minio/warehouse; mc mb minio/warehouse; mc anonymous set public minio/warehouse`,
    buckets: ["warehouse"],
    isOpen: ["warehouse"],
    uses: ["names the bucket in the host", "writes once", "uploads parts"],
  },
  {
    name: "Velero: a folder of settings",
    command: "server /storage --config-dir=/config --console-address=:9001",
    env: rootOf("minio", "minio123"),
    folder: "/storage",
    key: "minio",
    prepares: `mc --config-dir="$MC_CONFIG_DIR" config host add velero "$SERVER" "$ROOT" "$PASSWORD" && mc --config-dir="$MC_CONFIG_DIR" mb -p velero/velero`,
    buckets: ["velero"],
    uses: ["lists", "stores", "lets browsers put"],
  },
  {
    name: "GitLab Development Kit: strict",
    command: 'server -C minio/config --address "127.0.0.1:9000" --compat minio/data',
    env: { ...olderRootOf("minio", "gdk-minio"), MINIO_REGION: "gdk" },
    folder: "/home/minio/data",
    key: "minio",
    buckets: [],
    uses: ["creates", "lets browsers put", "copies", "removes many"],
  },
  {
    name: "GitLab's chart: options before the command, and a bucket for each kind of object, closed",
    command: "minio -C /tmp/.minio/ --quiet server /export",
    env: olderRootOf("gitlab-access", "gitlab-secret"),
    folder: "/export",
    key: "gitlab-access",
    prepares: `mc config host add myminio "$SERVER" "$ROOT" "$PASSWORD"
for bucket in registry gitlab-lfs gitlab-artifacts; do
  /usr/bin/env mc ls "myminio/$bucket" >/dev/null 2>&1 || mc mb "myminio/$bucket"
  mc anonymous set none "myminio/$bucket"
done`,
    buckets: ["registry", "gitlab-lfs", "gitlab-artifacts"],
    uses: ["copies parts", "lists", "stores"],
  },
  {
    name: "TrueNAS: all options before the folder",
    command: "-C /usr/local/etc/minio server --address=0.0.0.0:9000 --quiet /mnt/tank/data",
    env: ADMIN,
    folder: "/mnt/tank/data",
    key: "minioadmin",
    buckets: [],
    uses: ["creates", "stores"],
  },
  {
    name: "Discourse: a public bucket, and objects that ask to be so",
    command: "server --console-address :9001 --address :9000 data",
    env: { ...ADMIN, MINIO_DOMAIN: "minio.local" },
    folder: "/home/data",
    key: "minioadmin",
    prepares: `mc alias set local "$SERVER" "$ROOT" "$PASSWORD" && mc mb local/discoursetest --ignore-existing && mc anonymous set public local/discoursetest`,
    buckets: ["discoursetest"],
    isOpen: ["discoursetest"],
    uses: ["sends public-read", "lets browsers put", "copies"],
  },
  {
    name: "Mastodon",
    command: "server /data",
    env: rootOf("mastodon", "mastodon-secret"),
    folder: "/data",
    key: "mastodon",
    prepares: `mc alias set m "$SERVER" "$ROOT" "$PASSWORD" && mc mb --ignore-existing m/mastodon && mc anonymous set download m/mastodon`,
    buckets: ["mastodon"],
    isOpen: ["mastodon"],
    uses: ["sends public-read", "removes many"],
  },
  {
    name: "PeerTube: a public and a closed bucket",
    command: 'server /data --console-address ":9001"',
    env: ADMIN,
    folder: "/data",
    key: "minioadmin",
    prepares: `mc alias set p "$SERVER" "$ROOT" "$PASSWORD"
mc mb p/streaming-playlists p/web-videos; mc anonymous set download p/web-videos`,
    buckets: ["streaming-playlists", "web-videos"],
    isOpen: ["web-videos"],
    uses: ["sends public-read", "uploads parts"],
  },
  {
    name: "ClickHouse, stateless tests: waits until nobody is refused the list of buckets",
    command: 'server --address ":11111" ./minio_data',
    env: rootOf("clickhouse", "clickhouse"),
    folder: "/home/minio_data",
    key: "clickhouse",
    prepares: `until curl -s "$SERVER" | grep -q AccessDenied; do sleep 1; done
mc alias set clickminio "$SERVER" "$ROOT" "$PASSWORD" && mc admin user add clickminio clicktester testtest
mc admin policy attach clickminio readwrite --user=clicktester && mc mb clickminio/clicktest && mc anonymous set public clickminio/clicktest
echo data | mc pipe clickminio/clicktest/a.csv`,
    buckets: ["clicktest"],
    isOpen: ["clicktest"],
    keys: [{ key: "clicktester", secret: "testtest", bucket: "clicktest" }],
    uses: ["stores", "lists", "copies", "removes many"],
  },
  {
    name: "Calls with recordings and avatars: a user and a policy for each bucket, made again at each start",
    command: 'server /data --console-address ":9001"',
    env: rootOf("purr-root", "purr-secret"),
    folder: "/data",
    key: "purr-root",
    prepares: `set -e
until mc alias set purr "$SERVER" "$ROOT" "$PASSWORD"; do sleep 1; done
for round in one two; do
  for bucket in recordings avatars; do
    mc mb --ignore-existing "purr/$bucket"
    printf '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:ListBucket","s3:GetBucketLocation"],"Resource":["arn:aws:s3:::%s"]},{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":["arn:aws:s3:::%s/*"]}]}' "$bucket" "$bucket" > "$MC_CONFIG_DIR/policy.json"
    mc admin policy create purr "purr-$bucket" "$MC_CONFIG_DIR/policy.json"
    mc admin user add purr "purr-$bucket" "$bucket-secret"
    mc admin policy attach purr "purr-$bucket" --user "purr-$bucket" || test "$round" = two
  done
done
mc anonymous set download purr/avatars
mc admin user info purr purr-avatars`,
    buckets: ["recordings", "avatars"],
    isOpen: ["avatars"],
    keys: [
      { key: "purr-recordings", secret: "recordings-secret", bucket: "recordings", refusedIn: "avatars" },
      { key: "purr-avatars", secret: "avatars-secret", bucket: "avatars", refusedIn: "recordings" },
    ],
    uses: ["lets browsers put"],
  },
  {
    name: "A platform that gives each tenant a bucket with a quota and a service key",
    command: "server /data",
    env: rootOf("platform", "platform-secret"),
    folder: "/data",
    key: "platform",
    prepares: `set -eu
i=0; until mc alias set tenant "$SERVER" "$ROOT" "$PASSWORD"; do i=$((i+1)); [ "$i" -gt 30 ] && exit 1; sleep 2; done
mc mb -p tenant/tenant-7; mc anonymous set none tenant/tenant-7
mc quota set tenant/tenant-7 --size 10gi; mc quota info tenant/tenant-7
printf '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::tenant-7","arn:aws:s3:::tenant-7/*"]}]}' > "$MC_CONFIG_DIR/tenant.json"
mc admin user svcacct add tenant "$ROOT" --access-key TENANT7ACCESSKEY --secret-key tenant-7-secret --policy "$MC_CONFIG_DIR/tenant.json"
mc admin user svcacct info tenant TENANT7ACCESSKEY >/dev/null`,
    buckets: ["tenant-7"],
    keys: [{ key: "TENANT7ACCESSKEY", secret: "tenant-7-secret", bucket: "tenant-7", refusedIn: "plane-uploads" }],
    uses: ["stores"],
  },
  {
    name: "Testcontainers, in Go: health",
    command: "server /data",
    env: ADMIN,
    folder: "/data",
    key: "minioadmin",
    buckets: [],
    uses: ["creates", "stores"],
  },
  {
    name: "Testcontainers, in Java: a line of the log",
    command: "server --console-address :9001 /data",
    env: rootOf("miniouser", "miniopassword"),
    folder: "/data",
    key: "miniouser",
    buckets: [],
    uses: ["creates", "stores"],
  },
  {
    name: "Argo Workflows",
    command: "minio server --console-address :9001 /data",
    env: olderRootOf("admin", "password"),
    folder: "/data",
    key: "admin",
    buckets: [],
    uses: ["creates", "stores", "lists"],
  },
  {
    name: "Kubeflow Pipelines",
    command: "server /data",
    env: olderRootOf("minio", "minio123"),
    folder: "/data",
    key: "minio",
    buckets: [],
    uses: ["creates", "stores", "lists as in 2006"],
  },
  {
    name: "Airbyte",
    command: "server /storage",
    env: rootOf("minio", "minio123"),
    folder: "/storage",
    key: "minio",
    prepares: `mc alias set myminio "$SERVER" "$ROOT" "$PASSWORD" && mc mb --ignore-existing myminio/airbyte-storage`,
    buckets: ["airbyte-storage"],
    uses: ["uploads parts", "lists"],
  },
  {
    name: "MLflow: a bucket that may be there",
    command: 'server /data --console-address ":9001"',
    env: rootOf("minio_user", "minio_password"),
    folder: "/data",
    key: "minio_user",
    prepares: `mc config host add s3 "$SERVER" "$ROOT" "$PASSWORD" --api S3v4; mc mb s3/mlflow; mc mb --ignore-existing s3/mlflow`,
    buckets: ["mlflow"],
    uses: ["stores", "lists", "uploads parts"],
  },
  {
    name: "Documenso: another port of S3",
    command: "server /data --console-address ':9001' --address ':9002'",
    env: rootOf("documenso", "password"),
    folder: "/data",
    key: "documenso",
    buckets: [],
    uses: ["creates", "lets browsers put"],
  },
  {
    name: "Typebot: a public folder in a closed bucket",
    command: 'server --console-address ":9001" /data',
    env: rootOf("minio", "minio123"),
    folder: "/data",
    key: "minio",
    prepares: `sleep 0; mc config host add minio "$SERVER" "$ROOT" "$PASSWORD"; mc mb minio/typebot; mc anonymous set public minio/typebot/public; exit 0`,
    buckets: ["typebot"],
    isOpen: ["typebot/public"],
    uses: ["lets browsers put", "lets browsers post"],
  },
  {
    name: "Outline: forms of browsers",
    command: "minio server /data",
    env: olderRootOf("outline-access", "outline-secret"),
    folder: "/data",
    key: "outline-access",
    buckets: [],
    uses: ["creates", "lets browsers post", "lets browsers put"],
  },
  {
    name: "Koku: buckets of several services, one open",
    command: "server --console-address :9990 /data",
    env: rootOf("kokuminioaccess", "kokuminiosecret"),
    folder: "/data",
    key: "kokuminioaccess",
    prepares: `mc alias set local "$SERVER" "$ROOT" "$PASSWORD" && mc mb --ignore-existing local/ocp-ingress && mc mb --ignore-existing local/koku-bucket && mc anonymous set public local/ocp-ingress`,
    buckets: ["ocp-ingress", "koku-bucket"],
    isOpen: ["ocp-ingress"],
    uses: ["stores", "lists"],
  },
  {
    name: "A cache of Nix, opened recursively",
    command: "server --certs-dir /nowhere --address 127.0.0.1:9000 /var/lib/minio",
    env: rootOf("admin-key", "admin-secret"),
    folder: "/var/lib/minio",
    key: "admin-key",
    prepares: `mc alias set user "$SERVER" "$ROOT" "$PASSWORD"; mc mb user/nix-cache; mc anonymous set --recursive download user/nix-cache
echo "StoreDir: /nix/store" | mc pipe user/nix-cache/nix-cache-info`,
    buckets: ["nix-cache"],
    isOpen: ["nix-cache"],
    uses: ["stores"],
  },
  {
    name: "Nextcloud: makes its bucket",
    command: 'server /data --console-address ":9001"',
    env: rootOf("nextcloud", "nextcloud-secret"),
    folder: "/data",
    key: "nextcloud",
    buckets: [],
    uses: ["creates", "stores", "copies", "uploads parts"],
  },
  {
    name: "JuiceFS",
    command: "server /data",
    env: ADMIN,
    folder: "/data",
    key: "minioadmin",
    buckets: [],
    uses: ["creates", "stores", "lists as in 2006", "uploads parts"],
  },
  {
    name: "Clients of MinIO with temporary keys, without a role",
    command: "server /data",
    env: ADMIN,
    folder: "/data",
    key: "minioadmin",
    buckets: [],
    uses: ["creates", "asks for temporary keys"],
  },
  {
    name: "A bucket with history that an application sets up itself",
    command: "server /data{1...4}",
    env: { ...ADMIN, MINIO_STORAGE_CLASS_STANDARD: "EC:2" },
    folder: "/data1",
    key: "minioadmin",
    buckets: [],
    uses: ["creates", "sets a policy", "keeps versions"],
  },
]
