/** The boto3 scripts of this folder, which run in one process of Python. */
import assert from "node:assert/strict"
import type { TestContext } from "node:test"
import { findProgram, runOk, type CommandOptions } from "../harness/commands.js"
import { ROOT } from "../harness/server.js"

/** Runs `boto3_NAME.py` for each name. Skips the test if boto3 is not installed. */
export async function runBoto3(context: TestContext, names: readonly string[], env: CommandOptions["env"] = {}) {
  const python = findProgram("python3")
  if (python === undefined) return context.skip("python3 is not installed")
  const output = await runOk(python, [`${ROOT}tests/clients/boto3_run.py`, ...names], { env, timeoutMs: 200_000 })
  if (/^boto3 is not installed$/m.test(output)) return context.skip("boto3 is not installed")
  assert.deepEqual(
    names.filter(name => !output.split("\n").includes(`${name}: done`)),
    [],
    output,
  )
}
