/**
 * The files in deploy/ and the Dockerfile: what can be checked of them without a cluster, and more where the programs that
 * read them are installed.
 */
import assert from "node:assert/strict"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { z } from "zod"
import {
  CLIENT_ENVIRONMENT,
  CONFIG_FILE_ENVIRONMENT,
  FILE_SETTING_NAMES,
  SETTING_NAMES,
  SETTINGS,
} from "@hayloft/node/config/index.js"
import { findProgram, run, runOk } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { ROOT } from "../harness/server.js"

const DEPLOY = join(ROOT, "deploy")
const CHART = join(DEPLOY, "helm", "hayloft")
/** The greatest exposure by `systemd-analyze security`, in tenths; 100 is no protection at all. */
const EXPOSURE_MAX = 25
/** Variables of Compose files themselves. */
const OF_COMPOSE = ["DISK1", "DISK2", "DISK3", "DATABASE_PASSWORD", "MASTER_KEY"].map(name => `HAYLOFT_${name}`)

const CLOUD_CONFIG = z.object({ write_files: z.array(z.object({ path: z.string(), content: z.string() })) })

const read = (...path: string[]): string => readFileSync(join(...path), "utf8")
const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))

test("every variable that these files set is a setting", () => {
  const known = new Set<string>([...SETTING_NAMES.map(name => SETTINGS[name].environment), ...OF_COMPOSE])
  for (const name of [...Object.keys(CLIENT_ENVIRONMENT), CONFIG_FILE_ENVIRONMENT]) known.add(name)
  for (const path of [...filesBelow(DEPLOY), join(ROOT, "Dockerfile")]) {
    const used = [...read(path).matchAll(/\bHAYLOFT_[A-Z0-9_]+/g)].map(([name]) => name)
    assert.deepEqual(
      used.filter(name => !known.has(name)),
      [],
      path,
    )
  }
})

test("the image: what it copies exists, it is made as executables are, and it has a health check of its own", () => {
  const lines = read(ROOT, "Dockerfile").split("\n")
  const ignored = read(ROOT, ".dockerignore").split("\n")
  for (const line of lines.filter(each => /^COPY (?!--from)/.test(each))) {
    for (const source of line.split(" ").slice(1, -1)) {
      assert.ok(existsSync(join(ROOT, source)), line)
      assert.ok(!ignored.includes(source), `${source} is in .dockerignore`)
    }
  }
  const scripts = lines.flatMap(line => /^RUN (node|sh) (\S+)/.exec(line)?.[2] ?? [])
  assert.deepEqual(scripts, ["tools/executables.mjs", "/image/make-tree.sh"])
  const last = lines.slice(lines.findLastIndex(line => line.startsWith("FROM ")))
  assert.equal(last[0], "FROM scratch")
  assert.ok(last.some(line => /^HEALTHCHECK .* CMD \["hayloft", "health"\]$/.test(line)))
  for (const line of ["VOLUME /data", "STOPSIGNAL SIGTERM", 'ENTRYPOINT ["hayloft"]', 'CMD ["server"]'])
    assert.ok(last.includes(line), line)
})

test("systemd accepts the unit, and finds it well protected", async t => {
  const analyze = findProgram("systemd-analyze")
  if (analyze === undefined) return t.skip("systemd-analyze is not installed")
  await withFolder(async folder => {
    const path = join(folder, "hayloft.service")
    const unit = read(DEPLOY, "systemd", "hayloft.service")
    // The program and the user need not exist on the machine that runs this test.
    writeFileSync(path, unit.replace(/^ExecStart=.*$/m, "ExecStart=/bin/true").replace(/^(User|Group)=.*\n/gm, ""))
    assert.equal((await run(analyze, ["verify", path])).stderr, "")
    writeFileSync(path, unit)
    const threshold = ["--offline=yes", `--threshold=${EXPOSURE_MAX}`, path]
    const { code, stdout, stderr } = await run(analyze, ["security", ...threshold])
    // Older ones do not know --offline.
    if (/unrecognized option/.test(stderr)) return
    assert.equal(code, 0, stdout + stderr)
  })
})

test("Compose accepts the files", async t => {
  const docker = findProgram("docker")
  if (docker === undefined || (await run(docker, ["compose", "version"])).code !== 0)
    return t.skip("docker compose is not installed")
  for (const name of ["single.yaml", "cluster.yaml"])
    await runOk(docker, ["compose", "-f", join(DEPLOY, "compose", name), "config", "--quiet"], {
      env: { HAYLOFT_DATABASE_PASSWORD: "x" },
    })
})

test("templates of the chart: blocks are closed, and every value that they use has a default", () => {
  const values = read(CHART, "values.yaml")
  for (const path of filesBelow(join(CHART, "templates"))) {
    let depth = 0
    for (const [, word] of read(path).matchAll(/\{\{-?\s*(if|range|with|define|end)\b/g)) {
      depth += word === "end" ? -1 : 1
      assert.ok(depth >= 0, path)
    }
    assert.equal(depth, 0, path)
    for (const [, name = ""] of read(path).matchAll(/\.Values\.([\w.]+)/g)) {
      const [parent = "", child] = name.split(".")
      const block = new RegExp(`^${parent}:(.*(?:\\n(?: .*)?$)*)`, "m").exec(values)?.[1]
      assert.ok(block !== undefined && (child === undefined || new RegExp(`^  ${child}:`, "m").test(block)), name)
    }
  }
})

test("helm renders the chart for one node and for several, and refuses several without a database", async t => {
  const helm = findProgram("helm")
  if (helm === undefined) return t.skip("helm is not installed")
  const render = (...set: string[]) => run(helm, ["template", "test", CHART, ...set.flatMap(each => ["--set", each])])
  const one = await render()
  assert.equal(one.code, 0, one.stderr)
  assert.doesNotMatch(one.stdout, /PodDisruptionBudget|HAYLOFT_CLUSTER/)
  const secrets = ["cluster.databaseSecret=db", "cluster.masterKeySecret=key", "networkPolicy.enabled=true"]
  const three = await render("replicas=3", ...secrets)
  assert.equal(three.code, 0, three.stderr)
  for (const kind of ["StatefulSet", "PodDisruptionBudget", "NetworkPolicy"])
    assert.match(three.stdout, new RegExp(`^kind: ${kind}$`, "m"))
  assert.match((await render("replicas=3")).stderr, /several replicas need cluster\.databaseSecret/)
})

test("the chart has the rules of deploy/prometheus", () => {
  assert.equal(read(CHART, "files", "alerts.yml"), read(DEPLOY, "prometheus", "hayloft-alerts.yml"))
})

test("helm renders volumes, free settings, ingresses, certificates and monitoring, and names what is missing", async t => {
  const helm = findProgram("helm")
  if (helm === undefined) return t.skip("helm is not installed")
  await runOk(helm, ["lint", "--strict", CHART])
  const render = (...set: string[]) => run(helm, ["template", "test", CHART, ...set.flatMap(each => ["--set", each])])
  const has = async (set: readonly string[], ...patterns: readonly RegExp[]) => {
    const { code, stdout, stderr } = await render(...set)
    assert.equal(code, 0, stderr)
    for (const pattern of patterns) assert.match(stdout, pattern)
    return stdout
  }
  const plain = await has(
    [],
    /value: "\/data\{1\.\.\.4\}\/store"/,
    /name: data4, mountPath: \/data4/,
    /name: test-hayloft-console/,
  )
  assert.doesNotMatch(plain, /kind: (Ingress|Certificate|ServiceMonitor|PrometheusRule|ConfigMap)\b/)
  await has(["storage.volumes=1"], /value: "\/data\/store"/, /name: data, mountPath: \/data \}/)
  await has(
    ["extraEnv[0].name=MINIO_DOMAIN", "extraEnv[0].value=s3.example.org", "extraEnvFrom[0].secretRef.name=more"],
    /- name: MINIO_DOMAIN\n\s+value: s3\.example\.org/,
    /envFrom:.*\n\s+- secretRef:/,
  )
  await has(
    ["config.region=home"],
    /hayloft\.json: "\{\\n {2}\\"region\\": \\"home\\"/,
    /value: \/etc\/hayloft-config\/hayloft\.json/,
  )
  const s3 = ["ingress.enabled=true", "ingress.host=s3.example.org", "ingress.wildcard=true", "ingress.tlsSecret=edge"]
  await has(
    s3,
    /host: "\*\.s3\.example\.org"/,
    /value: "https:\/\/s3\.example\.org"/,
    /HAYLOFT_DOMAIN, value: "s3\.example\.org"/,
  )
  const console = ["console.ingress.enabled=true", "console.ingress.host=console.example.org"]
  await has(
    console,
    /HAYLOFT_ADMIN_HOST, value: "console\.example\.org"/,
    /name: test-hayloft-console, port: \{ name: console \}/,
  )
  const certificate = ["tls.certManager.enabled=true", "tls.certManager.issuer=letsencrypt", ...s3]
  await has(
    certificate,
    /kind: Certificate/,
    /secretName: test-hayloft-tls/,
    /HAYLOFT_TLS_CERT/,
    /backend-protocol: HTTPS/,
  )
  const monitor = [
    "metrics.serviceMonitor.enabled=true",
    "metrics.serviceMonitor.tokenSecret=token",
    "metrics.rules.enabled=true",
  ]
  await has(
    monitor,
    /kind: ServiceMonitor/,
    /credentials: \{ name: token, key: token \}/,
    /kind: PrometheusRule/,
    /alert: HayloftDown/,
  )
  for (const [set, reason] of [
    ["ingress.enabled=true", /needs ingress\.host/],
    ["console.ingress.enabled=true", /console\.ingress\.host/],
    ["tls.certManager.enabled=true", /needs tls\.certManager\.issuer/],
    ["metrics.serviceMonitor.enabled=true", /tokenSecret/],
    ["storage.volumes=33", /storage\.volumes is 1 to 32/],
  ] as const)
    assert.match((await render(set)).stderr, reason, set)
})

test("Terraform: the user data of a node has settings that are known, a unit that waits for every disk, and no key of others", async t => {
  const terraform = findProgram("terraform")
  if (terraform === undefined) return t.skip("terraform is not installed")
  await withFolder(async folder => {
    const module = join(DEPLOY, "terraform")
    const env = { TF_DATA_DIR: join(folder, "data"), CHECKPOINT_DISABLE: "1", TF_CLI_CONFIG_FILE: "/dev/null" }
    await runOk(terraform, ["fmt", "-check", "-recursive", module])
    const go = (...args: string[]) => runOk(terraform, [`-chdir=${module}`, ...args], { env })
    await go("init", "-backend=false", "-input=false")
    const state = join(folder, "state")
    const userData = async (...variables: string[]) => {
      const given = [
        "package=hayloft@1.2.3",
        'disks=["/dev/b","/dev/c"]',
        'settings={redundancy="replica:2"}',
        ...variables,
      ]
      await go("apply", "-auto-approve", "-input=false", `-state=${state}`, ...given.flatMap(each => ["-var", each]))
      const text = await go("output", "-raw", `-state=${state}`, "user_data")
      assert.match(text, /^#cloud-config\n/)
      return CLOUD_CONFIG.parse(JSON.parse(text.slice(text.indexOf("\n"))))
    }
    const known = new Set<string>(FILE_SETTING_NAMES)
    const one = await userData()
    const contentOf = (config: typeof one, path: string) => config.write_files.find(each => each.path === path)?.content
    const settings = JSON.parse(contentOf(one, "/etc/hayloft.json") ?? "") as Record<string, unknown>
    assert.deepEqual(
      Object.keys(settings).filter(name => !known.has(name)),
      [],
    )
    assert.deepEqual(
      [settings["redundancy"], settings["data"]],
      ["replica:2", ["/srv/hayloft/disk1", "/srv/hayloft/disk2"]],
    )
    const unit = contentOf(one, "/etc/systemd/system/hayloft.service") ?? ""
    assert.match(unit, /^RequiresMountsFor=\/srv\/hayloft\/disk1 \/srv\/hayloft\/disk2$/m)
    assert.match(unit, /^ExecStart=\/usr\/bin\/node \/usr\/local\/lib\/node_modules\/hayloft\/bin\/hayloft serve/m)
    assert.equal(contentOf(one, "/etc/hayloft.key"), undefined)
    const [database, key] = ["postgres://h@db/h", "ab".repeat(32)]
    const node = `{database="${database}",node="n1",zone="a",address="10.0.0.1:7000",master_key="${key}"}`
    const several = await userData(`cluster=${node}`)
    const cluster = JSON.parse(contentOf(several, "/etc/hayloft.json") ?? "") as Record<string, unknown>
    assert.deepEqual([cluster["cluster"], cluster["masterKeyFile"]], [database, "/etc/hayloft.key"])
    assert.equal(contentOf(several, "/etc/hayloft.key"), `${key}\n`)
    assert.ok(!(contentOf(several, "/etc/hayloft.json") ?? "").includes(key))
    const withoutKey = await userData(`cluster=${node.replace(/,master_key="\w+"/, "")}`)
    assert.equal(contentOf(withoutKey, "/etc/hayloft.key"), undefined)
  })
})
