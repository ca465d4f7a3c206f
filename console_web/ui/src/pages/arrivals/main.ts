import ArrivalsPage from './ArrivalsPage.vue'
import { startPage } from '@/lib/page'

startPage(ArrivalsPage)
