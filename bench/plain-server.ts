/** The plain server in a separate process: shows the speed of `node:http` alone for the same requests. */
import { fork, type ChildProcess } from "node:child_process"
import { fileURLToPath } from "node:url"

const SERVER = fileURLToPath(new URL("./plain-http.js", import.meta.url))

export class PlainServer {
  private constructor(
    private readonly child: ChildProcess,
    readonly endpoint: URL,
  ) {}

  /** Answers GET with this many bytes, or with the file. */
  static start(answer: { readonly bytes: number } | { readonly file: string }): Promise<PlainServer> {
    const args = "file" in answer ? ["file", answer.file] : ["bytes", String(answer.bytes)]
    const child = fork(SERVER, args, { stdio: ["ignore", "ignore", "inherit", "ipc"] })
    return new Promise((resolve, reject) => {
      child.once("message", port => resolve(new PlainServer(child, new URL(`http://127.0.0.1:${Number(port)}`))))
      child.once("error", reject)
      child.once("exit", code => reject(new Error(`the plain server ended with ${code ?? "a signal"}`)))
    })
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  async stop(): Promise<void> {
    const exited = new Promise(resolve => this.child.once("exit", resolve))
    this.child.kill()
    await exited
  }
}
