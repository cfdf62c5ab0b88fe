/** A certificate that is renewed while front threads serve TLS. */
import assert from "node:assert/strict"
import { copyFileSync, mkdirSync, readFileSync } from "node:fs"
import { X509Certificate } from "node:crypto"
import { join } from "node:path"
import { test } from "node:test"
import { connect } from "node:tls"
import { findProgram } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { freePort } from "../harness/free-port.js"
import { noNode24 } from "../harness/new-node.js"
import { selfSigned } from "../harness/server.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { withFronts } from "./fronted.js"

const THREADS = 3
const CONNECTIONS = 40
const openssl = findProgram("openssl")
const skip = noNode24 || (openssl === undefined && "openssl is not installed")

/** Returns the fingerprint of the certificate that a new connection is shown. */
function shown(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256)
      socket.destroy()
    })
    socket.once("error", reject)
  })
}

const fingerprintOf = (file: string): string => new X509Certificate(readFileSync(file)).fingerprint256

test("every thread serves the renewed certificate, and metrics say when it expires", { skip }, () =>
  withFolder(async folder => {
    const [first, second] = [join(folder, "first"), join(folder, "second")]
    for (const each of [first, second]) mkdirSync(each)
    const tls = await selfSigned(openssl ?? "", first)
    const renewed = await selfSigned(openssl ?? "", second)
    const swift = await freePort()
    const args = ["--swift-listen", `127.0.0.1:${swift}`]
    await withFronts({ threads: THREADS, tls, args }, async ({ server }) => {
      // Every port with the certificate.
      const all = async (): Promise<ReadonlySet<string>> => {
        const ports = Array.from({ length: CONNECTIONS }, (_, at) => (at % 2 === 0 ? server.port : swift))
        return new Set(await Promise.all(ports.map(shown)))
      }
      assert.deepEqual(await all(), new Set([fingerprintOf(tls.cert)]))
      const expiry = /^hayloft_certificate_expiry_timestamp_seconds\{file="[^"]*first\/cert.pem"\} (\d+)/m
      assert.ok(Number(expiry.exec(await server.metrics())?.[1]) > Date.now() / 1_000)
      copyFileSync(renewed.cert, tls.cert)
      copyFileSync(renewed.key, tls.key)
      const threads = Array.from({ length: THREADS }, (_, at) => `front-${at + 1}`)
      await until("every port of every thread has loaded it", () =>
        threads.every(thread => server.log.split(`certificate_loaded thread=${thread} `).length > 2),
      )
      assert.deepEqual(await all(), new Set([fingerprintOf(renewed.cert)]))
    })
  }),
)
