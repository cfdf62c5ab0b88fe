/** Sessions of the admin API without cookies: bearer tokens alone, for tests of everything else. */
import type { AdminStore } from "./api.js"
import type { FakeTokens } from "./testing-tokens.js"

type Service = AdminStore["sessions"]

const refused = (): never => {
  throw new Error("these tests sign nobody in")
}

export const bearersOnly = (operatorToken: string, tokens: Pick<FakeTokens, "verify">): Service => ({
  async claimed(text) {
    if (text === operatorToken) return { id: "operator", prove: () => ({ kind: "operator" }) }
    const token = await tokens.verify(text)
    return { id: token?.id ?? "operator", prove: () => token && { kind: "token", token } }
  },
  of: async () => undefined,
  signInOf: () => undefined,
  beginByToken: async () => undefined,
  beginByKey: async () => undefined,
  cookieOf: refused,
  renewed: refused,
  idleEndOf: refused,
  cookieOfSignIn: refused,
  end: refused,
})
