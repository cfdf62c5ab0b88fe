/**
 * The release workflow, dry: its own commands run here in order, with small programs in the place of those that build or publish,
 * which write down what they are called with.
 */
import assert from "node:assert/strict"
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { run } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { ROOT } from "../harness/server.js"

const WORKFLOW = readFileSync(join(ROOT, ".github/workflows/release.yml"), "utf8")
const { version: VERSION } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string }
const TARGETS = ["linux-x64", "linux-arm64", "macos-x64", "macos-arm64"]
const FILES = [`hayloft-${VERSION}.tgz`, ...TARGETS.map(target => `hayloft-${target}`), "install.sh"]
/** The workflow finds these in the place of its expressions. */
const EXPRESSIONS: Readonly<Record<string, string>> = {
  "matrix.target": "linux-x64",
  "github.actor": "somebody",
  "github.token": "token",
  "github.repository": "hayloft/hayloft",
}

/** The commands of a job. */
function commandsOf(job: string): readonly string[] {
  const text = WORKFLOW.split(/^ {2}(?=\w+:$)/m).find(part => part.startsWith(`${job}:`)) ?? ""
  return [...text.matchAll(/^ +- run: (.*)$/gm)].map(([, line = ""]) =>
    line.replace(/\$\{\{ (.*?) \}\}/g, (_, name: string) => {
      const value = EXPRESSIONS[name]
      assert.ok(value !== undefined, `the test does not know ${name}`)
      return value
    }),
  )
}

/** Runs commands in a folder; returns those of programs that are not there, as they were called. */
async function dryRun(folder: string, commands: readonly string[]): Promise<readonly string[]> {
  const programs = join(folder, "programs")
  const calls = join(folder, "calls")
  mkdirSync(programs)
  writeFileSync(calls, "")
  for (const name of ["node", "npm", "gh", "docker"]) {
    writeFileSync(join(programs, name), `#!/bin/sh\necho "${name} $*" >> ${calls}\n`)
    chmodSync(join(programs, name), 0o755)
  }
  for (const command of commands) {
    const env = {
      PATH: `${programs}:${process.env["PATH"] ?? ""}`,
      RELEASE_KEY: "the key",
      GITHUB_REF_NAME: `v${VERSION}`,
    }
    const { code, stderr } = await run("bash", ["-e", "-c", command], { cwd: folder, env })
    assert.equal(code, 0, `${command}: ${stderr}`)
  }
  return readFileSync(calls, "utf8").trim().split("\n")
}

test("it makes executables of all kinds, and the files from them, signed in a step that alone has the key", () =>
  withFolder(async folder => {
    for (const target of TARGETS) assert.match(WORKFLOW, new RegExp(`target: ${target},`))
    mkdirSync(join(folder, "dist/ready"), { recursive: true })
    writeFileSync(join(folder, "dist/ready/hayloft-linux-x64"), "#!/bin/sh\n", { mode: 0o755 })
    mkdirSync(join(folder, "dist/release"))
    writeFileSync(join(folder, "dist/release", FILES[0] ?? ""), "")
    const calls = await dryRun(folder, [...commandsOf("executables"), ...commandsOf("files")])
    assert.deepEqual(calls, [
      "node tools/executables.mjs dist/ready linux-x64",
      "npm run release -- --executables ready --check",
      "node tools/release.mjs --sign",
      `npm publish --dry-run dist/release/hayloft-${VERSION}.tgz`,
    ])
    assert.equal(WORKFLOW.match(/secrets\.RELEASE_KEY/g)?.length, 1)
    assert.match(WORKFLOW, /run: test -z "\$RELEASE_KEY" .*--sign\n {8}env:\n {10}RELEASE_KEY/)
    assert.ok(existsSync(join(ROOT, "tools/executables.mjs")))
  }))

test("it publishes the files whose checksums fit, under the version of the tag, and only where the owner has said so", () =>
  withFolder(async folder => {
    const release = join(folder, "dist/release")
    mkdirSync(release, { recursive: true })
    for (const name of FILES) writeFileSync(join(release, name), name)
    const sums = await run("sha256sum", FILES, { cwd: release })
    writeFileSync(join(release, "SHA256SUMS"), sums.stdout)
    for (const name of ["CHANGELOG.md", "package.json"]) cpSync(join(ROOT, name), join(folder, name))
    const calls = await dryRun(folder, commandsOf("publish"))
    const image = "ghcr.io/hayloft/hayloft"
    const built = `--platform linux/amd64,linux/arm64 --build-context executables=dist/release --provenance=true --sbom=true --tag ${image}:v${VERSION} --tag ${image}:latest --push .`
    const attached = ["SHA256SUMS", ...FILES].sort().map(name => `dist/release/${name}`)
    assert.deepEqual(calls.slice(0, 2), [
      "docker login ghcr.io --username somebody --password-stdin",
      `docker buildx build ${built}`,
    ])
    assert.match(calls[2] ?? "", new RegExp(`^gh release create v${VERSION} `))
    for (const name of attached) assert.ok(calls[2]?.includes(name), name)
    assert.equal(calls[3], `npm publish --provenance --access public dist/release/hayloft-${VERSION}.tgz`)
    assert.match(WORKFLOW, /^ {2}publish:\n {4}needs: files\n {4}if: \$\{\{ .*vars\.PUBLISH == 'yes' \}\}$/m)
  }))
