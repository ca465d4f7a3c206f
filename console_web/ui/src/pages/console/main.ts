import ConsolePage from './ConsolePage.vue'
import { startPage } from '@/lib/page'

startPage(ConsolePage)
