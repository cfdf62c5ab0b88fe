/**
 * Signing in: with the keys of an account, with a token of the admin API, with a name and a password of an LDAP directory, or
 * at an OpenID Connect provider. The form begins with what was used last; at first with the name and the password if there
 * is a directory, else with the keys, which the start of a new store prints.
 */
import { useSignal, type Signal } from "@preact/signals"
import { useEffect, useRef } from "preact/hooks"
import { asApiError, ApiError } from "../api/client.js"
import { useAction } from "../parts/action.js"
import { Button } from "../parts/button.js"
import { Form, TextField } from "../parts/fields.js"
import { Notice } from "../parts/states.js"
import { signIn, signInByProvider, type SessionState } from "../shell/session.js"

type Way = "token" | "keys" | "directory"

const OTHER_WAYS: Readonly<Record<Way, string>> = {
  keys: "Use an access key",
  token: "Use an admin token",
  directory: "Use name and password",
}

const REMEMBERED = "hayloft-sign-in"

/** The one that was used last, or else the first. */
function rememberedWay(ways: readonly Way[]): Way {
  const [first = "token"] = ways
  try {
    const last = localStorage.getItem(REMEMBERED)
    return ways.find(way => way === last) ?? first
  } catch {
    return first
  }
}

function remember(way: Way): void {
  try {
    localStorage.setItem(REMEMBERED, way)
  } catch {
    // A browser that keeps nothing asks again.
  }
}

/** The server itself says what is wrong with a name and a password. */
const WRONG: Readonly<Partial<Record<Way, string>>> = {
  keys: "The access key or the secret key is wrong, or the key is disabled or has expired.",
  token: "The token is wrong, revoked or has expired.",
}

/** Says what to do: the server does not tell what was wrong with credentials, but whether they were. */
function problemOf(error: ApiError, way: Way): string {
  const { status, code, message } = error
  if (status === 0) return `The server does not answer: ${message}. Try again once it runs.`
  if (code === "rateExceeded") return `Too many wrong attempts came from your address: ${message}`
  const wrong = code === "accessDenied" ? WRONG[way] : undefined
  return wrong ?? `${message.charAt(0).toUpperCase()}${message.slice(1)}`
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
            The first start of the server prints both; <code>hayloft env</code> shows them later on its machine.
          </>
        }
      />
    </>
  )
}

function DirectoryFields({ name, password }: { readonly name: Signal<string>; readonly password: Signal<string> }) {
  return (
    <>
      <TextField label="User name" value={name} autoComplete="username" isRequired />
      <TextField label="Password" type="password" value={password} autoComplete="current-password" isRequired />
    </>
  )
}

export function SignInPage({ state }: { readonly state: Extract<SessionState, { kind: "signedOut" }> }) {
  const { offers, notice } = state
  const ways: readonly Way[] = [
    ...(offers.ldap ? (["directory"] as const) : []),
    ...(offers.key ? (["keys"] as const) : []),
    "token",
  ]
  const way = useSignal<Way>(rememberedWay(ways))
  const [token, accessKeyId, secretAccessKey] = [useSignal(""), useSignal(""), useSignal("")]
  const [username, password] = [useSignal(""), useSignal("")]
  const card = useRef<HTMLDivElement>(null)
  const enter = useAction(async () => {
    const given = {
      token: { token: token.value.trim() },
      keys: { accessKeyId: accessKeyId.value.trim(), secretAccessKey: secretAccessKey.value.trim() },
      // Blanks around a password are a part of it.
      directory: { ldap: { username: username.value.trim(), password: password.value } },
    }
    try {
      await signIn(given[way.value])
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
  const needed = { token: [token], keys: [accessKeyId, secretAccessKey], directory: [username, password] }[way.value]
  const isComplete = needed.every(each => each.value !== "")
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
          {way.value === "token" && <TokenFields token={token} />}
          {way.value === "keys" && <KeyFields id={accessKeyId} secret={secretAccessKey} />}
          {way.value === "directory" && <DirectoryFields name={username} password={password} />}
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
        {ways
          .filter(other => other !== way.value)
          .map(other => (
            <Button key={other} kind="quiet" onClick={() => (way.value = other)}>
              {OTHER_WAYS[other]}
            </Button>
          ))}
      </div>
    </main>
  )
}
