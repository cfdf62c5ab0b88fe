/** `hayloft server`: MinIO's arguments and variables as settings, and what is refused by its name. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { ServeConfig } from "@hayloft/node/config/index.js"
import type { CliIo } from "../io.js"
import { run } from "../program.js"
import { testIo } from "../testing-io.js"
import { idleVariables, minioAliases, variablesOfFile } from "./variables-core.js"

type Variables = Readonly<Record<string, string>>

/** Runs a command line; returns the settings with which the store would run, or the line of the refusal. */
async function served(
  line: string,
  environment: Variables = {},
  workingFolder = "/",
): Promise<{ readonly config?: ServeConfig; readonly error: string; readonly code: number }> {
  const started: { config?: ServeConfig } = {}
  const { io, written } = testIo({ environment, workingFolder })
  const programs: CliIo["programs"] = { ...io.programs, serve: async config => void (started.config = config) }
  const code = await run(line.split(" "), { ...io, programs }, new AbortController().signal)
  return { ...started, error: written.error, code }
}

/** Runs a command line that does not get as far as a running store. */
async function failing(line: string): Promise<void> {
  const { io } = testIo()
  const programs: CliIo["programs"] = { ...io.programs, serve: () => Promise.reject(new Error("no store")) }
  assert.equal(await run(line.split(" "), { ...io, programs }, new AbortController().signal), 1)
}

async function configOf(line: string, environment: Variables = {}, workingFolder = "/"): Promise<ServeConfig> {
  const { config, error } = await served(line, environment, workingFolder)
  assert.ok(config !== undefined, error)
  return config
}

async function refused(pattern: RegExp, line: string, environment: Variables = {}, workingFolder = "/"): Promise<void> {
  const { config, error, code } = await served(line, environment, workingFolder)
  assert.equal(config, undefined, line)
  assert.deepEqual([code, error.split("\n").length], [2, 2], error)
  assert.match(error, pattern)
}

test("folders and addresses are given as to MinIO's server", async () => {
  const config = await configOf("server /data --address :9000 --console-address :9001")
  assert.deepEqual(config.dataFolders, ["/data"])
  assert.deepEqual(config.listen, { host: "0.0.0.0", port: 9000 })
  assert.deepEqual(config.adminListen, { host: "0.0.0.0", port: 9001 })
  const plain = await configOf("server --console-address 127.0.0.1:9090 /data")
  assert.deepEqual([plain.listen.host, plain.adminListen.port], ["0.0.0.0", 9090])
  assert.deepEqual((await configOf("server data")).adminListen, { host: "127.0.0.1", port: 9001 })
  assert.deepEqual((await configOf("minio server /data")).dataFolders, ["/data"])
})

test("options before the command, the folder of settings and strictness are taken as MinIO takes them", async () => {
  for (const line of [
    "minio -C /etc/minio --quiet server --address :9000 /export",
    "--config-dir=/etc/minio --json server /export",
    "server -C minio/config --compat --address 127.0.0.1:9000 /export",
    "minio --no-compat --anonymous server /export",
  ]) {
    const config = await configOf(line)
    assert.deepEqual([config.dataFolders, config.countsDevices, config.tls], [["/export"], true, undefined], line)
  }
  await refused(/unknown option '-C'/, "-C /etc/minio bucket list")
  assert.equal((await configOf("server")).countsDevices, false)
})

test("ranges are expanded, several in one argument, and several arguments are one store", async () => {
  const config = await configOf("server /mnt/disk{1...2}/set{1...2} /mnt/disk{3...4}")
  assert.deepEqual(config.dataFolders, [
    "/mnt/disk1/set1",
    "/mnt/disk1/set2",
    "/mnt/disk2/set1",
    "/mnt/disk2/set2",
    "/mnt/disk3",
    "/mnt/disk4",
  ])
})

test("all options of serve work beside MinIO's, and the same twice is refused", async () => {
  const config = await configOf("server /a /b /c --redundancy replica:3 --region home --json --quiet")
  assert.deepEqual(config.policy, { kind: "replica", copies: 3 })
  assert.deepEqual([config.region, config.log.format], ["home", "json"])
  await refused(/DIR and --data are the same/, "server /a --data /b")
  await refused(/--address and --listen are the same/, "server /a --address :1 --listen 127.0.0.1:2")
  await refused(/--json and --log-format are the same/, "server /a --json --log-format text")
  await refused(/--console-address and --admin-listen/, "server /a --console-address :1 --admin-listen 127.0.0.1:2")
})

test("other machines, bad addresses and options without a meaning are refused by name", async () => {
  await refused(
    /DIR: http:\/\/node\{1\.\.\.4\}\/data names a folder of another machine.*--cluster URL/,
    "server http://node{1...4}/data",
  )
  await refused(/MINIO_VOLUMES: https:\/\/a\/b names/, "server", { MINIO_VOLUMES: "/a https://a/b" })
  await refused(/--address: "9000" is not HOST:PORT/, "server /a --address 9000")
  await refused(/--console-address: ".*:99999" is not/, "server /a --console-address :99999")
  await refused(/--ftp of minio server has no meaning here: there is no FTP server/, "server --ftp address=:21 /a")
  await refused(/--memlimit/, "server /a --memlimit=1GB")
  await refused(/unknown option '--nothing'/, "server /a --nothing")
})

test("the root user and password are MinIO's, by the newer names before the older ones", async () => {
  const rootOf = async (environment: Variables) => (await configOf("server /a", environment)).rootKey
  const root = { MINIO_ROOT_USER: "minioadmin", MINIO_ROOT_PASSWORD: "minio-secret" }
  const old = { MINIO_ACCESS_KEY: "application", MINIO_SECRET_KEY: "other-secret" }
  assert.deepEqual(await rootOf(root), { accessKeyId: "minioadmin", secret: "minio-secret" })
  assert.deepEqual(await rootOf(old), { accessKeyId: "application", secret: "other-secret" })
  assert.deepEqual(await rootOf({ ...root, ...old }), { accessKeyId: "minioadmin", secret: "minio-secret" })
  assert.equal(await rootOf({}), undefined)
  await refused(/^hayloft: MINIO_ROOT_PASSWORD is set without MINIO_ROOT_USER/, "server /a", {
    MINIO_ROOT_PASSWORD: "minio-secret",
  })
  await refused(/MINIO_ROOT_USER is set without MINIO_ROOT_PASSWORD/, "server /a", {
    ...old,
    MINIO_ROOT_USER: "somebody",
  })
  await refused(/MINIO_ROOT_PASSWORD: a secret key has 8 to 128/, "server /a", {
    ...root,
    MINIO_ROOT_PASSWORD: "short",
  })
  await refused(/MINIO_ROOT_USER: "ab" is not an access key/, "server /a", { ...root, MINIO_ROOT_USER: "ab" })
})

test("further variables of MinIO are settings, and mean the same", async () => {
  const config = await configOf("server", {
    MINIO_VOLUMES: "/mnt/disk{1...2} /mnt/more",
    MINIO_ADDRESS: ":9100",
    MINIO_CONSOLE_PORT_NUMBER: "9101",
    MINIO_SITE_REGION: "eu-north-1",
    MINIO_DOMAIN: "s3.example.org, minio.example.org",
    MINIO_BROWSER: "off",
    MINIO_SERVER_URL: "https://s3.example.org/",
    MINIO_BROWSER_REDIRECT_URL: "https://console.example.org:8443/ui",
    MINIO_KMS_AUTO_ENCRYPTION: "on",
    MINIO_API_CORS_ALLOW_ORIGIN: "https://a.example.org,https://*.b.example.org",
  })
  assert.deepEqual(config.dataFolders, ["/mnt/disk1", "/mnt/disk2", "/mnt/more"])
  assert.deepEqual([config.listen.port, config.adminListen], [9100, { host: "0.0.0.0", port: 9101 }])
  assert.deepEqual([config.region, config.domains], ["eu-north-1", ["s3.example.org", "minio.example.org"]])
  assert.deepEqual([config.hasConsole, config.encryptNewBuckets], [false, true])
  assert.deepEqual([config.publicUrl, config.adminHosts], ["https://s3.example.org", ["console.example.org"]])
  assert.deepEqual(config.corsOrigins, ["https://a.example.org", "https://*.b.example.org"])
  const originsOf = async (line: string, of: Variables = {}) => (await configOf(line, of)).corsOrigins
  assert.deepEqual([await originsOf("server /a"), await originsOf("server", { MINIO_REGION: "home" })], [["*"], ["*"]])
  assert.deepEqual([await originsOf("server"), await originsOf("serve --data /a")], [[], []], "nothing is MinIO's")
  assert.deepEqual(config.remarks, [])
  await refused(/MINIO_BROWSER: "maybe" is not one of on, off/, "server /a", { MINIO_BROWSER: "maybe" })
  await refused(/MINIO_BROWSER_REDIRECT_URL: "console:9001" is not/, "server /a", {
    MINIO_BROWSER_REDIRECT_URL: "console:9001",
  })
  assert.equal((await configOf("server /b --address :1", { MINIO_VOLUMES: "/a", MINIO_ADDRESS: ":2" })).listen.port, 1)
})

test("sign-in by LDAP is that of MinIO, and is protected as MinIO protects it", async () => {
  const LDAP = "MINIO_IDENTITY_LDAP_"
  const variables = {
    [`${LDAP}SERVER_ADDR`]: "ldap.example.org:636",
    [`${LDAP}LOOKUP_BIND_DN`]: "cn=reader,dc=example",
    [`${LDAP}LOOKUP_BIND_PASSWORD`]: "reads",
    [`${LDAP}USER_DN_SEARCH_BASE_DN`]: "ou=people,dc=example;ou=robots,dc=example",
    [`${LDAP}USER_DN_SEARCH_FILTER`]: "(cn=%s)",
    [`${LDAP}GROUP_SEARCH_BASE_DN`]: "ou=groups,dc=example",
    [`${LDAP}GROUP_SEARCH_FILTER`]: "(member=%d)",
  }
  const { ldap } = await configOf("server /data", variables)
  assert.deepEqual(
    [ldap?.servers, ldap?.tls, ldap?.lookup, ldap?.userBases, ldap?.userFilter, ldap?.groupBases, ldap?.groupFilter],
    [
      ["ldaps://ldap.example.org:636"],
      "verified",
      { dn: "cn=reader,dc=example", password: "reads" },
      ["ou=people,dc=example", "ou=robots,dc=example"],
      "(cn=%s)",
      ["ou=groups,dc=example"],
      "(member=%d)",
    ],
  )
  const serverOf = async (more: Variables) => {
    const { ldap: found } = await configOf("server /data", { ...variables, ...more })
    return found && [found.servers[0]?.split(":")[0], found.tls]
  }
  assert.deepEqual(await serverOf({ [`${LDAP}SERVER_STARTTLS`]: "on" }), ["ldap", "verified"])
  assert.deepEqual(await serverOf({ [`${LDAP}SERVER_INSECURE`]: "on" }), ["ldap", "off"])
  assert.deepEqual(await serverOf({ [`${LDAP}TLS_SKIP_VERIFY`]: "on" }), ["ldaps", "unverified"])
  assert.equal(await serverOf({ [`${LDAP}ENABLE`]: "off" }), undefined)
  const both = { ...variables, [`${LDAP}SERVER_STARTTLS`]: "on", [`${LDAP}SERVER_INSECURE`]: "on" }
  await refused(/SERVER_INSECURE and .*SERVER_STARTTLS are both on/, "server /data", both)
  assert.deepEqual(idleVariables({ ...variables, [`${LDAP}SRV_RECORD_NAME`]: "ldap" }), [`${LDAP}SRV_RECORD_NAME`])
})

test("a flag wins over every variable, and variables of both names must agree", async () => {
  const both = { HAYLOFT_REGION: "north", MINIO_REGION: "south" }
  await refused(/HAYLOFT_REGION and MINIO_REGION contradict each other/, "server /a", both)
  await refused(/HAYLOFT_ROOT_SECRET_KEY and MINIO_ROOT_PASSWORD contradict/, "server /a", {
    HAYLOFT_ROOT_ACCESS_KEY: "operator",
    HAYLOFT_ROOT_SECRET_KEY: "first-secret",
    MINIO_ROOT_USER: "operator",
    MINIO_ROOT_PASSWORD: "second-secret",
  })
  assert.equal((await configOf("server /a", { ...both, MINIO_REGION: "north" })).region, "north")
  assert.equal((await configOf("server /a --region west", { MINIO_REGION: "south" })).region, "west")
})

test("variables without a meaning are named in one line, and those of a service link are not", async () => {
  const environment = {
    MINIO_STORAGE_CLASS_STANDARD: "EC:2",
    MINIO_BUCKET: "photos",
    MINIO_ROOT_USER: "minioadmin",
    MINIO_OPTS: "--quiet",
    MINIO_SERVICE_HOST: "10.0.0.1",
    MINIO_PORT_9000_TCP: "tcp://10.0.0.1:9000",
    MINIO_EMPTY: "",
    OTHER: "x",
  }
  assert.deepEqual(idleVariables(environment), ["MINIO_BUCKET", "MINIO_STORAGE_CLASS_STANDARD"])
  const { remarks } = await configOf("server /a", { MINIO_BUCKET: "b", MINIO_API_X: "c" })
  assert.deepEqual(remarks, [
    "these variables of MinIO have no effect here: MINIO_API_X, MINIO_BUCKET (docs/guide/from-minio.md says what has)",
  ])
  const ofServe = await configOf("serve --data /a", { MINIO_ROOT_USER: "minioadmin", MINIO_BUCKET: "b" })
  assert.deepEqual(
    [ofServe.rootKey, ofServe.remarks],
    [undefined, ["serve does not read MINIO_ROOT_USER: hayloft server does"]],
  )
})

test("secrets come from files, and so do all variables of a file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-minio-"))
  try {
    await writeFile(join(folder, "user"), "operator\n")
    await writeFile(join(folder, "password"), "secret-of-a-file\r\n")
    await writeFile(join(folder, "empty"), "\n")
    await writeFile(
      join(folder, "env"),
      '# MinIO\nexport MINIO_REGION="home"\nMINIO_ROOT_USER=file-user\nMINIO_ROOT_PASSWORD=a=b#c\'d"e\n',
    )
    const files = { MINIO_ROOT_USER_FILE: join(folder, "user"), MINIO_ROOT_PASSWORD_FILE: join(folder, "password") }
    const expected = { accessKeyId: "operator", secret: "secret-of-a-file" }
    assert.deepEqual((await configOf("server /a", files)).rootKey, expected)
    const own = { HAYLOFT_ROOT_ACCESS_KEY_FILE: "user", HAYLOFT_ROOT_SECRET_KEY_FILE: "password" }
    assert.deepEqual((await configOf("serve --data /a", own, folder)).rootKey, expected)
    await refused(/MINIO_ROOT_USER and MINIO_ROOT_USER_FILE are both set/, "server /a", {
      ...files,
      MINIO_ROOT_USER: "x",
    })
    await refused(
      /MINIO_ROOT_USER_FILE: the file \/run\/secrets\/nothing-here cannot be read \(ENOENT\)/,
      "server /a",
      {
        ...files,
        MINIO_ROOT_USER_FILE: "nothing-here",
      },
    )
    await refused(/the file .*empty is empty/, "server /a", { ...files, MINIO_ROOT_USER_FILE: join(folder, "empty") })
    const ofFile = await configOf("server /a", { MINIO_CONFIG_ENV_FILE: "env", MINIO_REGION: "away" }, folder)
    assert.deepEqual([ofFile.region, ofFile.rootKey], ["home", { accessKeyId: "file-user", secret: "a=b#c'd\"e" }])
  } finally {
    await rm(folder, { recursive: true })
  }
})

test("a file of variables is read line by line; a line that is none is named by its number", () => {
  const text = "A=1\n  # note\n\nexport B='two words'\nC=x=\"y\"\nD=\n"
  assert.deepEqual(variablesOfFile(text, "f"), { A: "1", B: "two words", C: 'x="y"', D: "" })
  assert.throws(() => variablesOfFile("A=1\nsecret", "f"), /line 2 of f is not NAME=VALUE/)
  assert.deepEqual(minioAliases({ MINIO_BROWSER_REDIRECT_URL: "https://[::1]:9001" }), {})
})

test("a folder of certificates is used if it has some", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-minio-"))
  try {
    assert.equal((await configOf(`server -S ${folder} /a`)).tls, undefined)
    await writeFile(join(folder, "public.crt"), "")
    const tls = { certFile: join(folder, "public.crt"), keyFile: join(folder, "private.key") }
    assert.deepEqual((await configOf(`server /a --certs-dir ${folder}`)).tls, tls)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test("empty folders that a script has made are buckets; folders with files stay as they are", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-minio-"))
  const data = join(folder, "data")
  try {
    for (const name of ["photos", "films"]) await mkdir(join(data, name), { recursive: true })
    const named = { MINIO_DEFAULT_BUCKETS: "films:download" }
    await failing(`server ${data}`)
    assert.deepEqual((await readdir(data)).sort(), ["films", "photos"], "they are there again")
    const { buckets } = await configOf(`server ${data}`, named)
    assert.deepEqual(buckets, [
      { name: "films", access: "download" },
      { name: "photos", access: undefined },
    ])
    assert.deepEqual(await readdir(data), [])
    await mkdir(join(data, "photos"))
    await writeFile(join(data, "holiday.jpg"), "")
    assert.deepEqual((await configOf(`server ${data}`)).buckets, [], "the data folder is something else's")
    assert.deepEqual((await readdir(data)).sort(), ["holiday.jpg", "photos"])
    // In a store, other folders may be beside it, and its own empty ones stay.
    await writeFile(join(data, "superblock"), "")
    await mkdir(join(data, "volumes"))
    assert.deepEqual((await configOf(`server ${data}`)).buckets, [{ name: "photos", access: undefined }])
    assert.deepEqual((await readdir(data)).sort(), ["holiday.jpg", "superblock", "volumes"])
    assert.deepEqual((await configOf(`serve --data ${data}`)).buckets, [])
  } finally {
    await rm(folder, { recursive: true })
  }
})

test("buckets and users are named in the variables of both", async () => {
  const { buckets, users } = await configOf("server /nowhere", {
    MINIO_DEFAULT_BUCKETS: "a-bucket; b-bucket:private",
    HAYLOFT_USERS: "app:secret-of-app:c-bucket=readonly",
  })
  assert.deepEqual(
    buckets.map(({ name, access }) => [name, access]),
    [
      ["a-bucket", undefined],
      ["b-bucket", "none"],
    ],
  )
  assert.deepEqual(
    users.map(({ name, grants }) => [name, grants.length]),
    [["app", 1]],
  )
  await refused(/MINIO_DEFAULT_BUCKETS: "Photos": /, "server /nowhere", { MINIO_DEFAULT_BUCKETS: "Photos" })
})
