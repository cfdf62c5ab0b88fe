/** Sign-in to the console at a provider of OpenID Connect, in a real browser: there and back, and what the person may see. */
import assert from "node:assert/strict"
import { after } from "node:test"
import type { OidcProvider, Role } from "../../console/api/shapes.js"
import { CLIENT, StandInProvider } from "../harness/oidc-provider.js"
import { assertAccessible, screenshot, type ConsoleWorld, type PageTests } from "./harness.js"

const LOCAL = "--allow-local-identity-providers"

let provider: StandInProvider | undefined

/** Registers the provider and a role, and starts the server with them. */
async function prepare(world: ConsoleWorld): Promise<void> {
  provider = await StandInProvider.start()
  provider.isPublic = true
  const registered = { issuer: provider.issuer, clientIds: [CLIENT.id] }
  const made = await world.admin("POST", "/v1/accounts/~/oidc-providers", registered)
  const { arn: Federated, provider: name } = made as OidcProvider
  const Statement = {
    Effect: "Allow",
    Principal: { Federated },
    Action: "sts:AssumeRoleWithWebIdentity",
    Condition: { "ForAnyValue:StringEquals": { [`${name}:groups`]: "staff" } },
  }
  const trust = { Version: "2012-10-17", Statement }
  const { arn } = (await world.admin("POST", "/v1/accounts/~/roles", { name: "staff", trust })) as Role
  await world.admin("PUT", "/v1/accounts/~/roles/staff/policies/own", {
    Version: "2012-10-17",
    Statement: { Effect: "Allow", Action: ["iam:ListUsers", "iam:GetAccountSummary"], Resource: "*" },
  })
  const issuer = ["--console-oidc-issuer", provider.issuer, "--console-oidc-client-id", CLIENT.id]
  await world.server.stop()
  await world.server.launch([LOCAL, ...issuer, "--console-oidc-role", arn])
}

export const providerSignIn: PageTests = {
  args: () => Promise.resolve([LOCAL]),
  prepare,
  define(world, pageTest) {
    after(() => provider?.stop())

    pageTest("a person signs in at the provider, comes back to the page, and sees what the role may see", async () => {
      const page = await world.open("/console/identities", { isSignedOut: true })
      await page.getByRole("button", { name: "Sign in with localhost" }).waitFor()
      await assertAccessible(page)
      await screenshot(page, "sign-in-provider")
      await page.getByRole("button", { name: "Sign in with localhost" }).click()
      await page.getByRole("heading", { level: 1, name: "Identities" }).waitFor()
      await page.getByText("ann@example.org").first().waitFor()
      await page.getByText("This account has no users").waitFor()
      await page.getByRole("tab", { name: "Roles" }).click()
      await page.getByText("You may not see this").waitFor()
      await page.getByRole("button", { name: "Sign out" }).click()
      await page.getByText("You are signed out.").waitFor()
    })

    pageTest("a person without a role is told so", async () => {
      assert.ok(provider)
      provider.person = { sub: "1", groups: ["guests"] }
      const page = await world.open("/console/", { isSignedOut: true })
      await page.getByRole("button", { name: "Sign in with localhost" }).click()
      await page.getByText("your account there may take no role here").waitFor()
    })
  },
}
