/** A folder of certificates: which files count, and what the log says of the others. */
import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { test } from "node:test"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { CertificateFolder } from "./certificate-folder.js"
import { TEST_CERTIFICATES } from "./testing-certificates.js"

const FOLDER = "/certificates"

async function folderWith(names: readonly string[]) {
  const disk = new SimDisk().boot()
  await disk.makeFolder(FOLDER)
  for (const name of names) {
    for (const [ending, text] of [
      ["pem", TEST_CERTIFICATES.first.cert],
      ["key", TEST_CERTIFICATES.first.key],
    ] as const) {
      const file = await disk.open(`${FOLDER}/${name}.${ending}`, "create")
      await file.write([Buffer.from(text)], 0)
      await file.close()
    }
  }
  const telemetry = new SimTelemetry()
  return { telemetry, disk, folder: new CertificateFolder(disk, FOLDER, telemetry.log) }
}

test("names of files in upper case are reported once each, and not used", async () => {
  const { folder, telemetry } = await folderWith(["Shop.example", "WWW.example", "site.example"])
  for (let pass = 0; pass < 3; pass++) await folder.readIfChanged()
  assert.deepEqual(
    telemetry.entries("certificate_load_failed").map(({ fields }) => fields["name"]),
    ["Shop.example", "WWW.example"],
  )
  assert.equal(folder.contextOf("shop.example"), undefined)
  assert.notEqual(folder.contextOf("SITE.example"), undefined)
})

test("the expiry of each certificate in use is known by its file, until it is removed", async () => {
  const { folder, disk } = await folderWith(["default", "shop.example"])
  await folder.readIfChanged()
  const expiresMs = Date.parse(new X509Certificate(TEST_CERTIFICATES.first.cert).validTo)
  assert.deepEqual(folder.expiries, [
    [`${FOLDER}/default.pem`, expiresMs],
    [`${FOLDER}/shop.example.pem`, expiresMs],
  ])
  await disk.remove(`${FOLDER}/shop.example.pem`)
  await folder.readIfChanged()
  assert.deepEqual(folder.expiries, [[`${FOLDER}/default.pem`, expiresMs]])
})
