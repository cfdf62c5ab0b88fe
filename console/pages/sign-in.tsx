/**
 * Signing in: with the keys of an account, with a token of the admin API, or at an OpenID Connect provider. The form begins
 * with what was used last; at first with the keys, which the start of a new store prints.
 */
import { useSignal, type Signal } from "@preact/signals"
import { useEffect, useRef } from "preact/hooks"
import { asApiError, ApiError } from "../api/client.js"
import { useAction } from "../parts/action.js"
import { Button } from "../parts/button.js"
import { Form, TextField } from "../parts/fields.js"
import { Notice } from "../parts/states.js"
import { signIn, signInByProvider, type SessionState } from "../shell/session.js"

type Way = "token" | "keys"

const REMEMBERED = "hayloft-sign-in"

function rememberedWay(): Way {
  try {
    return localStorage.getItem(REMEMBERED) === "token" ? "token" : "keys"
  } catch {
    return "keys"
  }
}

function remember(way: Way): void {
  try {
    localStorage.setItem(REMEMBERED, way)
  } catch {
    // A browser that keeps nothing asks again.
  }
}

const WRONG: Readonly<Record<Way, string>> = {
  keys: "The access key or the secret key is wrong, or the key is disabled or has expired. On the machine of the server, hayloft env shows those of the root user.",
  token:
    "The token is wrong, revoked or has expired. On the machine of the server, hayloft env --admin shows the operator's.",
}

/** Says what to do: the server does not tell what was wrong with credentials, but whether they were. */
function problemOf(error: ApiError, way: Way): string {
  const { status, code, message } = error
  if (status === 0) return `The server does not answer: ${message}. Try again once it runs.`
  if (code === "rateExceeded") return `Too many wrong attempts came from your address: ${message}`
  if (code === "accessDenied") return WRONG[way]
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}`
}

function TokenFields({ token }: { readonly token: Signal<string> }) {
  return (
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
  )
}

function KeyFields({ id, secret }: { readonly id: Signal<string>; readonly secret: Signal<string> }) {
  return (
    <>
      <TextField label="Access key" value={id} autoComplete="username" isRequired isCode />
      <TextField
        label="Secret key"
        type="password"
        value={secret}
        autoComplete="current-password"
        isRequired
        isCode
        hint={
          <>
            The first start of the server prints both; <code>hayloft env</code> shows them later.
          </>
        }
      />
    </>
  )
}

export function SignInPage({ state }: { readonly state: Extract<SessionState, { kind: "signedOut" }> }) {
  const { offers, notice } = state
  const way = useSignal<Way>(offers.key ? rememberedWay() : "token")
  const [token, accessKeyId, secretAccessKey] = [useSignal(""), useSignal(""), useSignal("")]
  const card = useRef<HTMLDivElement>(null)
  const enter = useAction(async () => {
    const [id, secret] = [accessKeyId.value.trim(), secretAccessKey.value.trim()]
    const given = way.value === "token" ? { token: token.value.trim() } : { accessKeyId: id, secretAccessKey: secret }
    try {
      await signIn(given)
    } catch (error) {
      const failure = asApiError(error)
      throw new ApiError(failure.status, failure.code, problemOf(failure, way.value))
    }
    remember(way.value)
  })
  const byProvider = useAction(signInByProvider)
  useEffect(() => {
    document.title = "Sign in · Hayloft"
  }, [])
  useEffect(() => card.current?.querySelector("input")?.focus(), [way.value])
  const isToken = way.value === "token"
  const isComplete = isToken ? token.value !== "" : accessKeyId.value !== "" && secretAccessKey.value !== ""
  return (
    <main class="sign-in">
      <div class="card" ref={card}>
        <h1>
          <img src="/console/icon.svg" alt="" width="32" height="32" />
          Hayloft
        </h1>
        <p class="faint">Sign in to the store at {location.host}</p>
        {notice !== undefined && <Notice>{notice}</Notice>}
        <Form label="Sign in" onSubmit={() => void enter.run()} problem={enter.problem}>
          {isToken ? <TokenFields token={token} /> : <KeyFields id={accessKeyId} secret={secretAccessKey} />}
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
        {offers.key && (
          <Button kind="quiet" onClick={() => (way.value = isToken ? "keys" : "token")}>
            {isToken ? "Use an access key" : "Use an admin token"}
          </Button>
        )}
      </div>
    </main>
  )
}
