/** Vault over real connections: TLS with an authority of its own, and a server that restarts. */
import assert from "node:assert/strict"
import { readFile, writeFile } from "node:fs/promises"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { ExternalKeys } from "@hayloft/access/keys/external-keys.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { RealWeb } from "@hayloft/base/seams/web/real.js"
import { findProgram } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { selfSigned } from "../harness/server.js"
import { listen } from "./stand-in.js"
import { VaultStandIn } from "./vault.js"
import { CONTEXT, keyOf } from "./world.js"

const openssl = findProgram("openssl")
const KEY = keyOf("photos")

test(
  "only a server whose certificate the authorities signed gets the token, also after a restart",
  { skip: openssl ? false : "openssl is not installed" },
  () =>
    withFolder(async folder => {
      const { cert, key, ca } = await selfSigned(openssl ?? "", folder)
      const tls = { cert: await readFile(cert, "utf8"), key: await readFile(key, "utf8") }
      const standIn = new VaultStandIn()
      standIn.addKey(KEY.name)
      let server = await listen(standIn, { tls })
      const web = new RealWeb(true)
      const tokenFile = `${folder}/token`
      await writeFile(tokenFile, standIn.token)
      const telemetry = new SimTelemetry()
      const seams = { clock: new RealClock(), disk: new RealDisk(), random: new RealRandom(), telemetry, web }
      const keysWith = (authoritiesFile: string | undefined) =>
        new ExternalKeys(
          { ...seams },
          {
            vault: { url: server.origin, tokenFile, mount: "transit", namespace: undefined, authoritiesFile },
            aws: undefined,
            keepMs: 0,
          },
        )
      try {
        const stranger = keysWith(undefined).provider("vault")
        await assert.rejects(
          async () => stranger.newDataKey(KEY, CONTEXT),
          error => isFailure(error, "keyServiceUnavailable"),
        )
        assert.equal(standIn.received, 0)
        const keys = keysWith(ca)
        const provider = keys.provider("vault")
        const made = await provider.newDataKey(KEY, CONTEXT)
        await server.close()
        await assert.rejects(
          async () => provider.open(KEY, made.ciphertext, CONTEXT),
          error => isFailure(error, "keyServiceUnavailable"),
        )
        server = await listen(standIn, { tls, port: Number(new URL(server.origin).port) })
        assert.deepEqual(Buffer.from(await provider.open(KEY, made.ciphertext, CONTEXT)), Buffer.from(made.plain))
        keys.close()
      } finally {
        web.close()
        await server.close()
      }
    }),
)
