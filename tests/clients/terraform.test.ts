/**
 * Terraform creates every supported resource, finds no difference afterwards, and destroys all of them.
 *
 * Needs  The program, and the AWS provider in a place where `terraform init` finds it: TEST_TERRAFORM_PLUGINS names
 *        a mirror of plugins (`-plugin-dir`). `tests/s3/terraform.test.ts` tests its reads without either.
 */
import { test } from "node:test"
import assert from "node:assert/strict"
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, run, runOk } from "../harness/commands.js"
import { ROOT, ServerProcess } from "../harness/server.js"

const terraform = findProgram("terraform")
const plugins = process.env["TEST_TERRAFORM_PLUGINS"]
const skip = terraform === undefined ? "terraform is not installed" : false

test("Terraform: applied, found unchanged, destroyed", { skip, timeout: 300_000 }, async context => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-terraform-"))
  const cwd = join(folder, "work")
  await mkdir(cwd)
  await copyFile(`${ROOT}tests/clients/terraform/main.tf`, join(cwd, "main.tf"))
  const server = await ServerProcess.start({ folders: [join(folder, "data")] })
  const env = {
    ...awsEnvironment({ endpoint: server.endpoint, home: folder }),
    TF_CLI_CONFIG_FILE: "/dev/null",
    CHECKPOINT_DISABLE: "1",
  }
  const go = (...args: string[]) => runOk(terraform ?? "", [...args, "-no-color", "-input=false"], { cwd, env })
  try {
    const mirror = plugins === undefined ? [] : [`-plugin-dir=${plugins}`]
    const { code } = await run(terraform ?? "", ["init", "-input=false", ...mirror], { cwd, env, timeoutMs: 200_000 })
    if (code !== 0) return context.skip("terraform finds no AWS provider")
    assert.match(await go("apply", "-auto-approve"), /Apply complete! Resources: 26 added/)
    assert.match(await go("plan"), /No changes\./)
    assert.match(await go("destroy", "-auto-approve"), /Destroy complete! Resources: 26 destroyed/)
  } finally {
    await server.kill()
    await rm(folder, { recursive: true, force: true })
  }
})
