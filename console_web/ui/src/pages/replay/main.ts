import ReplayPage from './ReplayPage.vue'
import { startPage } from '@/lib/page'

startPage(ReplayPage)
