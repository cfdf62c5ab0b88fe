/** Transactions: several operations are one decision. See decision 88. */
import { type Core, type Feature, ServiceOf } from "@hayloft/objects/door/index.js"
import type { Transactions } from "./contract.js"
import { TOKENS_JOB, TransactionTokens } from "./transaction-tokens.js"
import { TransactionService } from "./transaction-service.js"

const services = new ServiceOf<Transactions>()

export const transactionsOf = (core: Core): Transactions => services.of(core)

export const TRANSACTIONS = {
  name: "transactions" as const,
  jobs: [{ name: TOKENS_JOB, doneWith: "collector" }],
  start(core) {
    services.set(core, new TransactionService(core, core.random))
    return { jobs: [new TransactionTokens(core)] }
  },
} satisfies Feature
