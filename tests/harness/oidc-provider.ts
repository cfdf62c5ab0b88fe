/**
 * A stand-in for a provider of OpenID Connect: real HTTP on loopback, real signed tokens. It asks nobody: everybody who is
 * sent to it is `person`. It checks what a provider checks of a client: its secret, the code, the address to return to, and PKCE.
 */
import { createHash } from "node:crypto"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { once } from "node:events"
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTPayload } from "jose"

export const CLIENT = { id: "hayloft console", secret: "of:the console/+ %" } as const

interface Begun {
  readonly nonce: string
  readonly challenge: string
  readonly redirectUri: string
}

export class StandInProvider {
  /** The claims of the one who signs in. */
  person: JWTPayload = { sub: "7", email: "ann@example.org", email_verified: true, groups: ["staff"] }
  /** In place of claims that are right. */
  flaws: JWTPayload = {}
  /** The time by which tokens are issued. */
  nowMs = (): number => Date.now()
  /** Its client has no secret. */
  isPublic = false
  /** It issues tokens that have expired. */
  isLate = false
  /** The parameters that clients asked for. */
  readonly asked: URLSearchParams[] = []
  private readonly codes = new Map<string, Begun>()

  private constructor(
    private readonly server: Server,
    readonly issuer: string,
    private readonly key: CryptoKey,
    private readonly shown: JWK,
  ) {}

  static async start(): Promise<StandInProvider> {
    const { privateKey, publicKey } = await generateKeyPair("ES256")
    const shown = { ...(await exportJWK(publicKey)), kid: "one", alg: "ES256" }
    const server = createServer()
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    // Another name than the console has: for browsers another site.
    const origin = `http://localhost:${typeof address === "object" && address !== null ? address.port : 0}`
    const provider = new StandInProvider(server, `${origin}/realm`, privateKey, shown)
    server.on("request", (request, response) => void provider.answer(request, response))
    return provider
  }

  async stop(): Promise<void> {
    if (!this.server.listening) return
    this.server.closeAllConnections()
    this.server.close()
    await once(this.server, "close")
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "", this.issuer)
    const json = (status: number, value: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value))
    switch (url.pathname) {
      case "/realm/.well-known/openid-configuration":
        return void json(200, {
          issuer: this.issuer,
          jwks_uri: `${this.issuer}/keys`,
          authorization_endpoint: `${this.issuer}/authorize?kind=people`,
          token_endpoint: `${this.issuer}/token`,
        })
      case "/realm/keys":
        return void json(200, { keys: [this.shown] })
      case "/realm/authorize":
        return void response.writeHead(303, { location: this.authorize(url.searchParams) }).end()
      case "/realm/token": {
        const answer = await this.token(request, new URLSearchParams(await textOf(request)))
        return void json("error" in answer ? 400 : 200, answer)
      }
      default:
        return void json(404, {})
    }
  }

  /** Returns where the browser goes next. */
  private authorize(query: URLSearchParams): string {
    this.asked.push(query)
    const redirectUri = query.get("redirect_uri") ?? ""
    const back = new URL(redirectUri)
    const code = `code-${this.codes.size}`
    this.codes.set(code, { nonce: query.get("nonce") ?? "", challenge: query.get("code_challenge") ?? "", redirectUri })
    back.searchParams.set("state", query.get("state") ?? "")
    back.searchParams.set("code", code)
    return back.href
  }

  private async token(request: IncomingMessage, form: URLSearchParams): Promise<object> {
    const encoded = [CLIENT.id, CLIENT.secret].map(text => encodeURIComponent(text).replaceAll("%20", "+"))
    const basic = `Basic ${Buffer.from(encoded.join(":")).toString("base64")}`
    const isClient = this.isPublic
      ? form.get("client_id") === CLIENT.id && request.headers.authorization === undefined
      : request.headers.authorization === basic
    if (!isClient) return { error: "invalid_client" }
    const code = form.get("code") ?? ""
    const begun = this.codes.get(code)
    this.codes.delete(code)
    const challenge = createHash("sha256")
      .update(form.get("code_verifier") ?? "")
      .digest("base64url")
    if (begun?.challenge !== challenge || begun.redirectUri !== form.get("redirect_uri"))
      return { error: "invalid_grant" }
    return { token_type: "Bearer", access_token: "unused", id_token: await this.signed(begun.nonce) }
  }

  private signed(nonce: string): Promise<string> {
    const now = Math.floor(this.nowMs() / 1_000)
    return new SignJWT({ iss: this.issuer, aud: CLIENT.id, nonce, ...this.person, ...this.flaws })
      .setProtectedHeader({ alg: "ES256", kid: "one" })
      .setIssuedAt(now - (this.isLate ? 7_200 : 0))
      .setExpirationTime(now + (this.isLate ? -3_600 : 300))
      .sign(this.key)
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ""
  for await (const chunk of request.setEncoding("utf8")) text += String(chunk)
  return text
}
