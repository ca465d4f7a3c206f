import TabletPage from './TabletPage.vue'
import { startPage } from '@/lib/page'

startPage(TabletPage)
