/** Limits of identities: Amazon's own, so that what works here works there. Those of policies stand with the policies. */
export const IDENTITY_LIMITS = {
  accessKeysPerUser: 2,
  /** Keys for one purpose, of a user. */
  serviceKeysPerUser: 100,
  groupsPerUser: 10,
  attachedPoliciesMax: 10,
  policyVersionsMax: 5,
  tagsMax: 50,
  clientIdsPerProvider: 100,
  thumbprintsPerProvider: 5,
  providersPerAccount: 100,
} as const
