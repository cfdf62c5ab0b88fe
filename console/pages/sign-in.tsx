/** Signing in: with a token of the admin API, with the keys of an account, or at an OpenID Connect provider. */
import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { useAction } from "../parts/action.js"
import { Button } from "../parts/button.js"
import { Form, SelectField, TextField } from "../parts/fields.js"
import { Notice } from "../parts/states.js"
import { signIn, signInByProvider, type SessionState } from "../shell/session.js"

type Way = "token" | "keys"

const WAYS: readonly (readonly [Way, string])[] = [
  ["token", "Admin token"],
  ["keys", "Access key and secret key"],
]

export function SignInPage({ state }: { readonly state: Extract<SessionState, { kind: "signedOut" }> }) {
  const { offers, notice } = state
  const way = useSignal<Way>("token")
  const token = useSignal("")
  const accessKeyId = useSignal("")
  const secretAccessKey = useSignal("")
  const enter = useAction(() =>
    signIn(
      way.value === "token"
        ? { token: token.value.trim() }
        : { accessKeyId: accessKeyId.value.trim(), secretAccessKey: secretAccessKey.value.trim() },
    ),
  )
  const byProvider = useAction(signInByProvider)
  useEffect(() => {
    document.title = "Sign in · Hayloft"
  }, [])
  const isComplete =
    way.value === "token" ? token.value !== "" : accessKeyId.value !== "" && secretAccessKey.value !== ""
  return (
    <main class="sign-in">
      <div class="card">
        <h1>
          <img src="/console/icon.svg" alt="" width="32" height="32" />
          Hayloft
        </h1>
        {notice !== undefined && <Notice>{notice}</Notice>}
        <Form label="Sign in" onSubmit={() => void enter.run()} problem={enter.problem}>
          {offers.key && <SelectField label="Sign in with" value={way} options={WAYS} />}
          {way.value === "token" ? (
            <TextField
              label="Admin token"
              type="password"
              value={token}
              autoComplete="current-password"
              isRequired
              isCode
              hint={
                <>
                  The command <code>hayloft env --admin</code> shows it on the machine of the server.
                </>
              }
            />
          ) : (
            <>
              <TextField label="Access key" value={accessKeyId} autoComplete="username" isRequired isCode />
              <TextField
                label="Secret key"
                type="password"
                value={secretAccessKey}
                autoComplete="current-password"
                isRequired
                isCode
              />
            </>
          )}
          <Button type="submit" kind="primary" isBusy={enter.isBusy} isDisabled={!isComplete}>
            Sign in
          </Button>
        </Form>
        {offers.oidc !== undefined && (
          <Button isBusy={byProvider.isBusy} onClick={() => void byProvider.run()}>
            Sign in with {new URL(offers.oidc.issuer).hostname}
          </Button>
        )}
        {byProvider.problem.value !== undefined && <Notice>{byProvider.problem.value}</Notice>}
      </div>
    </main>
  )
}
