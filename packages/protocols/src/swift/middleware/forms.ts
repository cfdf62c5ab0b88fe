/**
 * Forms that browsers post to a container: each file becomes an object below the path, if the form's fields are signed.
 *
 * Promises  Files are stored as they arrive, none of them held; one that is larger than the form allows leaves no object.
 *           What follows the first file that cannot be stored is not stored.
 */
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import { asPromise } from "@hayloft/base/soon.js"
import { checkDigest, readUrlSignature } from "./url-signatures-core.js"
import type { PieceOwner } from "@hayloft/base/memory/pieces.js"
import type { Exchange } from "../../http/index.js"
import { boundaryOf, ExchangeBody, FormOfFiles, type S3Answer, type S3Caller, type S3Request } from "../../s3/index.js"
import { textAnswer } from "../answers.js"
import { swiftErrorOf } from "../failures.js"
import {
  admitFormPost,
  answerOfForm,
  checkFileCount,
  headersOfFile,
  objectOfFile,
  readFormPost,
} from "./form-post-core.js"
import type { SwiftCallers } from "../callers.js"
import { signedScope, urlKeysOf, type SwiftContext } from "../requests.js"
import { storeFile } from "../stored-files.js"
import type { SwiftTarget } from "../target-core.js"

/** Returns true if a request carries a form, which needs no token. */
export const isForm = ({ method, headers }: Exchange, { container }: SwiftTarget): boolean =>
  method === "POST" && container !== undefined && /^multipart\/form-data\b/i.test(headers.get("content-type") ?? "")

type Form = ReturnType<typeof readFormPost>
type File = NonNullable<Awaited<ReturnType<FormOfFiles["next"]>>>

export class SwiftForms {
  constructor(
    private readonly context: SwiftContext,
    private readonly callers: SwiftCallers,
  ) {}

  async post(request: S3Request, target: SwiftTarget, path: string): Promise<S3Answer> {
    const { exchange } = request
    const { clock, services, allowSha1 } = this.context
    const boundary = boundaryOf(exchange.header("content-type") ?? "") ?? ""
    const arriving = await FormOfFiles.begin(new ExchangeBody(exchange, clock), boundary)
    const form = readFormPost(arriving.fields)
    await services.buckets.confirm()
    const keys = await asPromise(() => urlKeysOf(this.context, target)).catch(noKeys)
    const signature = readUrlSignature(form.signature)
    if (signature !== undefined) checkDigest(signature, allowSha1)
    const { setter } = admitFormPost(form, path, keys, clock.wallMs())
    const scope = signedScope(target.container ?? "", ["PutObject"])
    const { caller } = await this.callers.ofSetter(setter, scope, exchange, target)
    await this.context.calls.enter(request, caller)
    try {
      let stored = 0
      for (let file = await arriving.next(); file !== undefined; file = await arriving.next()) {
        stored += 1
        checkFileCount(form, stored)
        await this.store(request, caller, target, form, file)
      }
      return answerOf(
        form,
        stored === 0 ? 400 : 201,
        stored === 0 ? "Bad Request" : "Created",
        stored === 0 ? "no file to process" : "",
      )
    } catch (error) {
      const failure = asFailure(error)
      // The server logs internal errors, and answers them itself.
      if (failure.kind === "internal") throw error
      const { status, title, message } = swiftErrorOf(failure, true)
      return answerOf(form, status, title, message.replace(/^FormPost: /, ""))
    }
  }

  private async store(
    request: S3Request,
    caller: S3Caller,
    target: SwiftTarget,
    form: Form,
    file: File,
  ): Promise<void> {
    const { container = "" } = target
    const object = objectOfFile(target.object ?? "", file)
    const headers = headersOfFile(form, file)
    const open = (pieces: PieceOwner) => within(form.fileBytesMax, file.open(pieces))
    await storeFile(this.context, request, caller, { container, object, headers, lengthBytes: undefined, open })
  }
}

function noKeys(error: unknown): readonly never[] {
  if (isFailure(error, "noSuchBucket")) return []
  throw error
}

async function* within(bytesMax: number, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let lengthBytes = 0
  for await (const bytes of pieces) {
    lengthBytes += bytes.length
    if (lengthBytes > bytesMax)
      throw fail("entityTooLarge", { message: "max_file_size exceeded", maxSizeAllowedBytes: bytesMax })
    yield bytes
  }
}

function answerOf(form: Form, status: number, title: string, message: string): S3Answer {
  const { status: shown, fields, type, text } = answerOfForm(form, status, title, message)
  return textAnswer(shown, type, text, fields)
}
