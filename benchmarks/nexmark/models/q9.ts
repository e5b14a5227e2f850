export { modelOfWinningBids as modelOfQ9 } from './winning-bids.ts'
