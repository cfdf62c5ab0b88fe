/**
 * Questions whether devices of one node have needles: all of one turn of the event loop go out as one call.
 *
 * Limits    CALL_NEEDLES_MAX questions a call.
 */
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { CALL_NEEDLES_MAX, type HasAnswer, type ShardPlace } from "../format/nodes/shard-calls.js"
import { METHODS } from "./methods.js"
import type { NodeCalls } from "./node-calls.js"

interface Question extends ShardPlace {
  readonly resolve: (answer: HasAnswer) => void
  readonly reject: (error: unknown) => void
}

export class HasQuestions {
  private questions: Question[] = []

  constructor(private readonly calls: NodeCalls) {}

  /** Throws `corruptRow`, `deviceFailed`. */
  async ask({ deviceId, id }: ShardPlace): Promise<boolean> {
    const answer = await this.calls.about(deviceId, () => this.answerTo({ deviceId, id }))
    if (answer === "corruptRow") throw fail("corruptRow", { family: "needles", device: deviceId })
    if (answer === "deviceFailed") throw fail("deviceFailed", { device: deviceId })
    return answer === "yes"
  }

  private answerTo(place: ShardPlace): Promise<HasAnswer> {
    return new Promise((resolve, reject) => {
      this.questions.push({ ...place, resolve, reject })
      if (this.questions.length === 1) this.calls.clock.atEndOfTurn(() => this.send())
    })
  }

  private send(): void {
    const questions = this.questions
    this.questions = []
    for (let from = 0; from < questions.length; from += CALL_NEEDLES_MAX) {
      void this.sendSome(questions.slice(from, from + CALL_NEEDLES_MAX))
    }
  }

  private async sendSome(questions: readonly Question[]): Promise<void> {
    try {
      const { hasMs } = this.calls.limits
      const answers = await this.calls.ask(METHODS.has, questions, "client", { deadlineMs: hasMs })
      if (answers.length !== questions.length) throw fail("malformedFrame", { reason: "count of answers" })
      questions.forEach(({ resolve }, i) => resolve(must(answers[i], "one for each question")))
    } catch (error) {
      const reason = isFailure(error) ? error : fail("internal", {}, error)
      for (const { reject } of questions) reject(reason)
    }
  }
}
